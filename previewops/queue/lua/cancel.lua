-- Cancels a pending job. Its token is void at once; a running render stops at its worker's next heartbeat.
--
-- ARGV    1 id   2 who   3 why   4 TTL of the result in ms
-- Results code (OK, NOT_FOUND, WRONG_STATE), previous state
-- Transitions waiting -> cancelled, delayed -> cancelled, active -> cancelled
--
-- @include maxmemory
-- @include core_keys
-- @include move_aside
-- @include admit
-- @include result

local id, who, why, ttl_ms = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local job = call('HMGET', P_JOB .. id, 'state', 'priority', 'attempts', 'crashes', 'claimed', 'accepted')
local state, foreign_state = job[1], nil
if not state then
  local due_ms = call('ZSCORE', K_SCHEDULE, id)
  if not due_ms then
    return { NOT_FOUND, '' }
  end
  -- A stock arq client enqueued it and no worker has admitted it.
  admit_foreign(id, math.min(math.abs(tonumber(due_ms)), NOW_MS))
  foreign_state = tonumber(due_ms) > NOW_MS and 'delayed' or 'waiting'
  job = call('HMGET', P_JOB .. id, 'state', 'priority', 'attempts', 'crashes', 'claimed', 'accepted')
  state = job[1]
end
if state ~= 'waiting' and state ~= 'delayed' and state ~= 'active' then
  return { WRONG_STATE, state }
end

local message = 'cancelled by ' .. who .. (why ~= '' and ': ' .. why or '')
local body = get_string(P_ARQ_JOB .. id)
call('SET', P_ARQ_RESULT .. id, build_arq_result(id, body, false, cjson.encode(message),
  to_int(job[3], 0) + to_int(job[4], 0), format_int(to_int(job[5], NOW_MS)), format_int(to_int(job[6], NOW_MS))), 'PX', ttl_ms)
call('DEL', P_ARQ_JOB .. id, P_ARQ_IN_PROGRESS .. id)
for _, index in pairs(WAITING) do
  call('ZREM', index, id)
end
call('ZREM', K_ACTIVE, id)
call('ZREM', K_SCHEDULE, id)
call('HDEL', P_JOB .. id, 'token')
call('HSET', P_JOB .. id, 'state', 'cancelled', 'finished', format_int(NOW_MS), 'reason', message)
call('ZADD', K_CANCELLED, format_int(NOW_MS), id)
count('cancelled')
add_event('cancelled', 'job', id, 'who', who, 'why', why)
redis.call('PUBLISH', P_DONE_CHANNEL .. id, 'cancelled')
flush_counters()
return { OK, foreign_state or state }
