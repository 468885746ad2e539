-- Removes a worker or supervisor whose report is damaged. One that is alive reports again with its next heartbeat.
--
-- ARGV    1 workers | supervisors   2 id   3 the damaged report, '' if it is missing
-- Results OK, or ALREADY if it has reported again
--
-- @include layout
-- @include move_aside

local index, prefix = K_WORKERS, P_WORKER
if ARGV[1] == 'supervisors' then
  index, prefix = K_SUPERVISORS, P_SUPERVISOR
end
local key = prefix .. ARGV[2]
local info = type(redis.pcall('HGET', key, 'info')) == 'string' and redis.call('HGET', key, 'info') or ''
if info ~= ARGV[3] then
  return ALREADY
end
call('ZREM', index, ARGV[2])
call('DEL', key)
return OK
