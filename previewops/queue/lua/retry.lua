-- Sends a failed job into backoff.
--
-- KEYS    1 the queue; all others by name (include/keys.lua)
-- ARGV    1 id   2 token   3 delay in ms   4 counter (attempts | crashes)   5 attempt as JSON   6 message
-- Results OK, ALREADY or STALE
--
-- @include keys
-- @include room
-- @include time
-- @include counters
-- @include events
-- @include waiting
-- @include lease

local id, token, delay_ms, counter, attempt, message = ARGV[1], ARGV[2], tonumber(ARGV[3]), ARGV[4], ARGV[5], ARGV[6]
local code = held(id, token)
if code ~= OK then
  return code
end
end_lease(id)
redis.call('HINCRBY', P_JOB .. id, counter, 1)
redis.call('RPUSH', P_ATTEMPTS .. id, attempt)
redis.call('HSET', P_JOB .. id, 'state', 'delayed', 'reason', message)
redis.call('ZADD', K_SCHEDULE, digits(NOW_MS + delay_ms), id)
count(counter == 'crashes' and 'crashed' or 'retried')
local priority, cause = redis.call('HGET', P_JOB .. id, 'priority'), counter == 'crashes' and 'crash' or 'error'
total('failed', priority, cause)
total('retried', priority, cause)
event('retry', 'job', id, 'delayMs', digits(delay_ms), 'message', message)
-- An idle worker that sleeps until the next due time has to learn of an earlier one.
wake()
write_tally()
return OK
