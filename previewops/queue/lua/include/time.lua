-- @include keys

-- Only the server's clock times leases and backoff.
local NOW_US, NOW_MS
do
  local t = redis.call('TIME')
  NOW_US = tonumber(t[1]) * 1000000 + tonumber(t[2])
  NOW_MS = math.floor(NOW_US / 1000)
end

-- The largest integer that a double represents exactly; a later due time is invalid.
local LAST_MS = 9007199254740991

-- Formats an integer as text. Arguments of redis.call that are numbers do not need this: Redis formats them in full.
local function format_int(number)
  return string.format('%.0f', number)
end

-- Source of admission order and fencing tokens: strictly increasing and never behind the clock in µs.
-- Because it follows the clock, tokens increase even after a FLUSHALL or a fail-over that lost writes.
-- Reserves `amount` values and returns the first.
local function sequence_after(last, amount)
  local first = math.max(tonumber(last or '0') + 1, NOW_US)
  redis.call('HSET', K_META, 'sequence', first + amount - 1)
  return first
end

local function next_sequence(amount)
  return sequence_after(redis.call('HGET', K_META, 'sequence'), amount)
end
