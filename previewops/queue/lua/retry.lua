-- Schedules a failed job for a retry.
--
-- ARGV    1 id   2 token   3 delay in ms   4 counter (attempts | crashes)   5 attempt as JSON   6 message
--         7 its traceback as JSON, or ''
-- Results OK, ALREADY or STALE
-- Transitions active -> delayed
--
-- @include maxmemory
-- @include core_keys
-- @include move_aside
-- @include attempts
-- @include breakdown
-- @include events
-- @include lease

local id, token, delay_ms, counter, attempt, message = ARGV[1], ARGV[2], tonumber(ARGV[3]), ARGV[4], ARGV[5], ARGV[6]
local code = check_lease(id, token)
if code ~= OK then
  return code
end
end_lease(id)
call('HINCRBY', P_JOB .. id, counter, 1)
add_attempt(id, attempt, ARGV[7])
call('HSET', P_JOB .. id, 'state', 'delayed', 'reason', message)
call('ZADD', K_SCHEDULE, format_int(NOW_MS + delay_ms), id)
count(counter == 'crashes' and 'crashed' or 'retried')
local job = call('HMGET', P_JOB .. id, 'priority', 'project')
local priority, cause = job[1], counter == 'crashes' and 'crash' or 'error'
count_by_priority('failed', priority, cause)
count_by_priority('retried', priority, cause)
observe_failure(job[2], priority, get_string(P_ARQ_JOB .. id), 'retried')
add_event('retry', 'job', id, 'delayMs', format_int(delay_ms), 'message', message)
-- An idle worker sleeps until the next due time, which may be earlier now.
wake_worker()
flush_counters()
return OK
