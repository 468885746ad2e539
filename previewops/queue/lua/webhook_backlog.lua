-- Counts webhook messages, for health checks. The age is that of the oldest among the next and the last that are due:
-- those that nobody sends are among the next, and those that failed most often among the last.
--
-- ARGV    1 number of messages to examine at either end
-- Results messages that failed, messages to be sent, age in ms of the oldest of them, or 0
--
-- @include layout
-- @include time

local examined = tonumber(ARGV[1])
local oldest_ms = NOW_MS
for _, range in ipairs({ 'ZRANGE', 'ZREVRANGE' }) do
  for _, message in ipairs(call(range, K_WEBHOOKS, 0, examined - 1)) do
    oldest_ms = math.min(oldest_ms, to_int(call('HGET', P_WEBHOOK .. message, 'since'), NOW_MS))
  end
end
return { call('ZCARD', K_FAILED_WEBHOOKS), call('ZCARD', K_WEBHOOKS), NOW_MS - oldest_ms }
