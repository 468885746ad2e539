-- Gives a supervisor an order. It is taken with the supervisor's next report, or expires.
--
-- KEYS    1 the queue; all others by name (include/keys.lua)
-- ARGV    1 supervisor id   2 silence in ms after which a supervisor counts as gone   3 ms until the order expires
--         then pairs of field and value
-- Results OK and the order's id, or NOT_FOUND: no such supervisor is alive
--
-- @include keys
-- @include room
-- @include time

local supervisor = ARGV[1]
local seen = redis.call('ZSCORE', K_SUPERVISORS, supervisor)
if not seen or NOW_MS - tonumber(seen) > tonumber(ARGV[2]) then
  return { NOT_FOUND }
end
local order = digits(next_sequence(1))
redis.call('HSET', P_ORDER .. order, 'state', 'sent', 'sent', digits(NOW_MS), unpack(ARGV, 4))
redis.call('PEXPIRE', P_ORDER .. order, ARGV[3])
redis.call('RPUSH', P_ORDERS .. supervisor, order)
redis.call('PEXPIRE', P_ORDERS .. supervisor, ARGV[3])
return { OK, order }
