-- @include batches
-- @include body
-- @include delay
-- @include events
-- @include lease
-- @include quota
-- @include requeue_dead_letter

-- Replaces the payload of a job in any state, and lets it run again from its beginning.

-- Readers see the bundle of a completed job until the next one is published. A dry run has none.
local function note_bundle(id)
  local read, result = pcall(cjson.decode, get_string(P_ARQ_RESULT .. id) or '')
  local payload = read and type(result) == 'table' and type(result.a) == 'table' and result.a[1]
  if type(payload) == 'table' and payload.dryRun ~= true then
    call('HSET', P_JOB .. id, 'previous', call('HGET', P_JOB .. id, 'finished') or format_int(NOW_MS))
  end
end

-- A completed or cancelled job is accepted a second time.
local function accept_again(id, state, class, project)
  local order = next_sequence(1)
  call('ZREM', K_COMPLETED, id)
  call('ZREM', K_CANCELLED, id)
  call('DEL', P_ARQ_RESULT .. id)
  call('HDEL', P_JOB .. id, 'finished', 'reason', 'token')
  call('HSET', P_JOB .. id, 'state', 'waiting', 'accepted', format_int(NOW_MS), 'order', format_int(order))
  add_waiting(id, class, order, NOW_MS)
  add_to_quota(id, project)
  move_in_batch(call('HGET', P_JOB .. id, 'batch'), state, 'waiting')
  count('accepted')
end

-- The token of a running attempt is void at once: it stops at its worker's next heartbeat.
local function move_to_waiting(id, state, before, class)
  local order = state == 'waiting' and to_int(call('ZSCORE', WAITING[before], id)) or next_sequence(1)
  revoke_lease(id)
  call('ZREM', WAITING[before], id)
  call('HSET', P_JOB .. id, 'state', 'waiting', 'order', format_int(order))
  add_waiting(id, class, order, math.floor(order / 1000))
end

-- `due_ms`: nil lets a delayed job that has not been attempted keep its due time, and every other job wait for a worker.
local function replace_job(id, state, class, project, digest, payload, func, due_ms, who)
  local job = call('HMGET', P_JOB .. id, 'priority', 'digest', 'fingerprint', 'attempts', 'crashes')
  if state == 'delayed' and not due_ms and to_int(job[4], 0) + to_int(job[5], 0) == 0 then
    due_ms = tonumber(call('ZSCORE', K_SCHEDULE, id))
  end
  if state == 'dead' then
    requeue_dead_letter(id, job[3], class)
    count('requeued')
  elseif state == 'completed' or state == 'cancelled' then
    if state == 'completed' then
      note_bundle(id)
    end
    accept_again(id, state, class, project)
  else
    move_to_waiting(id, state, class_of(job[1]), class)
  end
  call('HDEL', P_JOB .. id, 'uncounted', 'claimed', 'worker', 'progress', 'phase')
  store_body(id, func, payload)
  call('HSET', P_JOB .. id, 'priority', class, 'digest', digest, 'attempts', 0, 'crashes', 0)
  add_event('replaced', 'job', id, 'was', state, 'digestBefore', job[2] or '', 'digestAfter', digest, 'who', who)
  if due_ms and due_ms > NOW_MS then
    delay_waiting(id, class, due_ms)
    return 'delayed'
  end
  return 'waiting'
end
