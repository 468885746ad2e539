-- Acknowledges the data-loss alarm that heartbeats raise.
--
-- ARGV    1 who
-- Results OK, or ALREADY without an alarm
--
-- @include maxmemory
-- @include core_keys
-- @include move_aside
-- @include events

local loss = call('HMGET', K_META, 'lost', 'loss_acknowledged')
if not loss[1] or loss[2] then
  return ALREADY
end
call('HSET', K_META, 'loss_acknowledged', format_int(NOW_MS))
add_event('loss-acknowledged', 'who', ARGV[1])
return OK
