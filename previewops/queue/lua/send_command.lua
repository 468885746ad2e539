-- Sends a command to a supervisor, which receives it with its next heartbeat or not before it expires.
--
-- KEYS    1 the queue; all others by name (include/keys.lua)
-- ARGV    1 supervisor id   2 silence in ms after which a supervisor counts as gone   3 TTL of the command in ms
--         then pairs of field and value
-- Results OK and the command's id, or NOT_FOUND: no live supervisor has this id
--
-- @include keys
-- @include maxmemory
-- @include time

local supervisor = ARGV[1]
local seen = redis.call('ZSCORE', K_SUPERVISORS, supervisor)
if not seen or NOW_MS - tonumber(seen) > tonumber(ARGV[2]) then
  return { NOT_FOUND }
end
local command = format_int(next_sequence(1))
redis.call('HSET', P_ORDER .. command, 'state', 'sent', 'sent', format_int(NOW_MS), unpack(ARGV, 4))
redis.call('PEXPIRE', P_ORDER .. command, ARGV[3])
redis.call('RPUSH', P_ORDERS .. supervisor, command)
redis.call('PEXPIRE', P_ORDERS .. supervisor, ARGV[3])
return { OK, command }
