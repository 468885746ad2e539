-- Sends a command to a supervisor, which receives it with its next heartbeat or not before it expires.
--
-- ARGV    1 supervisor id   2 silence in ms after which a supervisor counts as gone   3 TTL of the command in ms
--         then pairs of field and value
-- Results OK and the command's id, or NOT_FOUND: no live supervisor has this id
--
-- @include maxmemory
-- @include move_aside
-- @include layout
-- @include time

local supervisor = ARGV[1]
local seen = call('ZSCORE', K_SUPERVISORS, supervisor)
if not seen or NOW_MS - tonumber(seen) > tonumber(ARGV[2]) then
  return { NOT_FOUND }
end
local command = format_int(next_sequence(1))
call('HSET', P_COMMAND .. command, 'state', 'sent', 'sent', format_int(NOW_MS), unpack(ARGV, 4))
call('PEXPIRE', P_COMMAND .. command, ARGV[3])
call('RPUSH', P_COMMANDS .. supervisor, command)
call('PEXPIRE', P_COMMANDS .. supervisor, ARGV[3])
return { OK, command }
