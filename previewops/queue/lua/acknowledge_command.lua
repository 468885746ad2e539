-- Stores a supervisor's reply to a command and records the command as an event, unless it only read a log.
--
-- ARGV    1 supervisor id   2 command id   3 done | refused   4 message   5 TTL of the reply in ms
-- Results OK, ALREADY if it has a reply, or NOT_FOUND if it has expired
--
-- @include maxmemory
-- @include move_aside
-- @include events

local command = P_COMMAND .. ARGV[2]
call('LREM', P_COMMANDS .. ARGV[1], 0, ARGV[2])
local fields = call('HMGET', command, 'state', 'act', 'target', 'who', 'why')
if not fields[1] then
  return NOT_FOUND
end
if fields[1] ~= 'sent' then
  return ALREADY
end
call('HSET', command, 'state', ARGV[3], 'message', ARGV[4])
call('PEXPIRE', command, ARGV[5])
if fields[2] == 'log' then
  return OK
end
add_event('command', 'act', fields[2] or '', 'target', fields[3] or '', 'host', ARGV[1], 'who', fields[4] or '',
  'why', fields[5] or '', 'outcome', ARGV[3], 'message', ARGV[4])
return OK
