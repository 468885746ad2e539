-- The server's clock is the only one that leases and backoff are timed by.
local NOW_US, NOW_MS
do
  local t = redis.call('TIME')
  NOW_US = tonumber(t[1]) * 1000000 + tonumber(t[2])
  NOW_MS = math.floor(NOW_US / 1000)
end

-- Above this a double is no whole number of ms any more: nothing is due then.
local LAST_MS = 9007199254740991

-- For text. As an argument of redis.call a number is written out in full by Redis itself.
local function digits(number)
  return string.format('%.0f', number)
end

-- Strictly increasing, and never behind the clock in µs: admission order and fencing tokens come from here.
-- Because it follows the clock, tokens keep growing even after a FLUSHALL or a fail-over that lost writes.
-- Reserves `amount` values and returns the first.
local function sequence_after(last, amount)
  local first = math.max(tonumber(last or '0') + 1, NOW_US)
  redis.call('HSET', K_META, 'sequence', first + amount - 1)
  return first
end

local function next_sequence(amount)
  return sequence_after(redis.call('HGET', K_META, 'sequence'), amount)
end
