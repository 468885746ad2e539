-- @include keys

-- Only the server's clock times leases and backoff.
local NOW_US, NOW_MS
do
  local t = redis.call('TIME')
  NOW_US = tonumber(t[1]) * 1000000 + tonumber(t[2])
  NOW_MS = math.floor(NOW_US / 1000)
end

-- A larger sequence is damaged: near LAST_MS, adding 1 would soon change nothing.
local LAST_SEQUENCE = LAST_MS - 2 ^ 20

-- Source of admission order and fencing tokens: strictly increasing and never behind the clock in µs.
-- Because it follows the clock, tokens increase even after a FLUSHALL or a fail-over that lost writes.
-- Reserves `amount` values and returns the first.
local function sequence_after(last, amount)
  local known = to_int(last, 0)
  local first = math.max(known < LAST_SEQUENCE and known + 1 or 0, NOW_US)
  call('HSET', K_META, 'sequence', first + amount - 1)
  return first
end

local function next_sequence(amount)
  return sequence_after(call('HGET', K_META, 'sequence'), amount)
end
