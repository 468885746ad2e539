-- Pauses claims; running jobs continue. The pause is a field in Redis and so survives restarts.
--
-- ARGV    1 who   2 reason
-- Results OK or ALREADY, then who, reason and since when (server ms)
--
-- @include maxmemory
-- @include core_keys
-- @include move_aside
-- @include events

local paused = call('HMGET', K_META, 'paused', 'paused_by', 'paused_why')
if paused[1] then
  return { ALREADY, paused[2], paused[3], paused[1] }
end
call('HSET', K_META, 'paused', format_int(NOW_MS), 'paused_by', ARGV[1], 'paused_why', ARGV[2])
add_event('paused', 'who', ARGV[1], 'why', ARGV[2])
return { OK, ARGV[1], ARGV[2], format_int(NOW_MS) }
