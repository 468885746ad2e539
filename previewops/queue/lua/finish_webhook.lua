-- Records the result of one attempt at a message. A message that fails for too long is kept to be sent again by hand.
--
-- ARGV    1 id   2 attempts as claimed   3 result: sent, retry or failed   4 delay of a retry in ms   5 error
--         6 age in ms from which a retry becomes a failure
-- Results OK, or STALE if another attempt has begun since
--
-- @include core_keys
-- @include move_aside
-- @include events
-- @include webhooks

local MAX_FAILED = 10000

local id, result, delay_ms, problem = ARGV[1], ARGV[3], tonumber(ARGV[4]), ARGV[5]
local key = P_WEBHOOK .. id
local message = call('HMGET', key, 'attempts', 'job', 'since')
if message[1] ~= ARGV[2] then
  return STALE
end
if result == 'sent' then
  call('DEL', key)
  call('ZREM', K_WEBHOOKS, id)
  return OK
end
call('HSET', key, 'error', problem)
if result == 'retry' and NOW_MS + delay_ms - to_int(message[3], 0) < tonumber(ARGV[6]) then
  call('ZADD', K_WEBHOOKS, format_int(NOW_MS + delay_ms), id)
  return OK
end
call('ZREM', K_WEBHOOKS, id)
call('ZADD', K_FAILED_WEBHOOKS, format_int(NOW_MS), id)
add_event('webhook-failed', 'job', message[2] or '', 'message', problem)
local surplus = call('ZCARD', K_FAILED_WEBHOOKS) - MAX_FAILED
if surplus > 0 then
  local oldest = call('ZPOPMIN', K_FAILED_WEBHOOKS, surplus)
  for i = 1, #oldest, 2 do
    call('DEL', P_WEBHOOK .. oldest[i])
  end
  add_event('webhook-dropped', 'message', surplus .. ' of the oldest failed messages, beyond ' .. MAX_FAILED)
end
return OK
