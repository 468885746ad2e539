-- Queues failed messages again, with the whole time for retries.
--
-- ARGV    1 maximum number   2 who   3.. ids; none: the oldest
-- Results number of messages that were queued
--
-- @include core_keys
-- @include move_aside
-- @include events
-- @include webhooks

local ids = {}
for i = 3, #ARGV do
  ids[#ids + 1] = ARGV[i]
end
if #ids == 0 then
  ids = call('ZRANGEBYSCORE', K_FAILED_WEBHOOKS, '-inf', '+inf', 'LIMIT', 0, tonumber(ARGV[1]))
end
local queued = 0
for _, id in ipairs(ids) do
  if call('ZREM', K_FAILED_WEBHOOKS, id) == 1 then
    call('HSET', P_WEBHOOK .. id, 'since', format_int(NOW_MS))
    call('ZADD', K_WEBHOOKS, format_int(NOW_MS), id)
    queued = queued + 1
  end
end
if queued > 0 then
  add_event('webhooks-resent', 'who', ARGV[2], 'jobs', queued)
end
return queued
