-- @include attempts
-- @include breakdown
-- @include dead_letters
-- @include job_id
-- @include lease

-- Requeues a job that its lost worker had claimed ahead and not started. Only once, as `uncounted` notes: the worker may
-- have died before it could report the start, and the job may have killed it.
local function return_ahead(id, priority, order, worker)
  call('HSET', P_JOB .. id, 'uncounted', 1)
  revoke_lease(id)
  return_to_waiting(id, priority, order)
  add_event('recovered', 'job', id, 'worker', worker, 'message', 'its worker was lost before it started the job')
end

-- Recovers a job whose worker is gone: counts a crash, then requeues the job, or moves it to the dead letters if it has
-- reached the maximum. An entry of the active set that contradicts its record, or is not a job, is removed.
local function recover_job(id, max_crashes, reason, fingerprint)
  local job = call('HMGET', P_JOB .. id, 'priority', 'order', 'worker', 'claimed', 'state', 'ahead', 'uncounted', 'project')
  if is_invalid_id(id) or (job[5] ~= 'active' and STATES[job[5]]) then
    call('ZREM', K_ACTIVE, id)
    return
  elseif not job[1] and not job[5] then
    job[1], job[8] = read_priority_and_project(id)
    create_record(id, 'active', job[1], job[8], NOW_MS)
  end
  local worker, claimed = job[3] or '', to_int(job[4], NOW_MS)
  if job[6] and not job[7] then
    return_ahead(id, job[1], job[2], worker)
    return
  end
  local crashes = call('HINCRBY', P_JOB .. id, 'crashes', 1)
  add_attempt(id, cjson.encode({
    at = claimed, durationMs = math.max(0, NOW_MS - claimed), worker = worker, kind = 'crash', class = 'WorkerLost',
    code = 'worker-lost', message = reason,
  }), '')
  revoke_lease(id)
  count('crashed')
  count_by_priority('failed', job[1], 'worker-lost')
  if crashes >= max_crashes then
    move_to_dead_letters(id, 'crashes', 'WorkerLost', 'worker-lost', reason, fingerprint)
  else
    count_by_priority('retried', job[1], 'worker-lost')
    observe_failure(job[8], job[1], get_string(P_ARQ_JOB .. id), 'retried')
    return_to_waiting(id, job[1], job[2])
    add_event('recovered', 'job', id, 'worker', worker, 'message', reason)
  end
end
