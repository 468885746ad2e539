-- Completes a batch of jobs and claims the next ones, in one round trip.
--
-- ARGV    1 worker id   2 lease in ms   3 ageing limit in ms   4 maximum new claims   5 maximum claims ahead
--         6 completed records to keep   7 TTL of results in ms   8 number of jobs n
--         then five per job: id, token, result as JSON, run time in ms, 1 for a dry run or else 0
--         then two per job that was claimed ahead and has started: id, token
-- Results server now in ms, 1 if the queue is paused or else 0, n codes (OK, ALREADY or STALE), then ten per claim
--         (include/claim.lua)
-- Transitions active -> completed, waiting -> active, completed -> deleted
--
-- @include maxmemory
-- @include core_keys
-- @include move_aside
-- @include batches
-- @include claim
-- @include lease
-- @include result
-- @include webhooks

local keep, ttl_ms, n = tonumber(ARGV[6]), ARGV[7], tonumber(ARGV[8])
local reply = { format_int(NOW_MS), stored_meta[2] and 1 or 0 }
local done = 0

local function trim_completed(surplus)
  if surplus > 0 then
    local oldest = call('ZPOPMIN', K_COMPLETED, surplus)
    for i = 1, #oldest, 2 do
      call('DEL', P_JOB .. oldest[i], P_ATTEMPTS .. oldest[i], P_ARQ_RESULT .. oldest[i])
    end
  end
end

-- Reads and writes the record once, because this is the hottest path.
local function complete_job(id, token, result_json, run_ms, dry)
  local job = call('HMGET', P_JOB .. id, 'state', 'token', 'attempts', 'crashes', 'claimed', 'accepted',
    'priority', 'project', 'ahead', 'batch')
  if job[2] ~= token then
    return STALE
  elseif job[1] ~= 'active' then
    return ALREADY
  end
  local failed = to_int(job[3], 0) + to_int(job[4], 0)
  local body = get_string(P_ARQ_JOB .. id)
  local result = build_arq_result(id, body, true, result_json, failed + 1,
    format_int(to_int(job[5], NOW_MS)), format_int(to_int(job[6], NOW_MS)))
  redis.call('ZREM', K_ACTIVE, id)
  leave_active(id, job[8])
  redis.call('DEL', P_ARQ_IN_PROGRESS .. id, P_ARQ_JOB .. id)
  redis.call('HSET', P_JOB .. id, 'state', 'completed', 'finished', NOW_MS)
  if job[9] then
    redis.call('HDEL', P_JOB .. id, 'ahead')
  end
  redis.call('SET', P_ARQ_RESULT .. id, result, 'PX', ttl_ms)
  redis.call('ZREM', K_SCHEDULE, id)
  call('ZADD', K_COMPLETED, NOW_MS, id)
  observe('r', run_ms, job[7])
  if dry == '1' then
    count_by_priority('dryrun', job[7])
  end
  queue_webhooks(id, job[8], 'completed', body)
  if job[10] then
    move_in_batch(job[10], 'active', 'completed')
  end
  redis.call('PUBLISH', P_DONE_CHANNEL .. id, 'completed')
  done = done + 1
  return OK
end

for i = 1, n do
  local at = 9 + (i - 1) * 5
  reply[2 + i] = complete_job(ARGV[at], ARGV[at + 1], ARGV[at + 2], tonumber(ARGV[at + 3]), ARGV[at + 4])
end

if done > 0 then
  count('completed', done)
  -- At most two per new job: this also removes the surplus after PREVIEW_KEEP_COMPLETED was lowered, in small steps.
  trim_completed(math.min(call('ZCARD', K_COMPLETED) - keep, done * 2))
end
for at = 9 + n * 5, #ARGV, 2 do
  if check_lease(ARGV[at], ARGV[at + 1]) == OK then
    mark_started(ARGV[at])
  end
end
claim_jobs(reply, ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5]), false)
flush_counters()
return reply
