-- Ends the alarm that heartbeats raised over lost data.
--
-- KEYS    1 the queue; all others by name (include/keys.lua)
-- ARGV    1 who
-- Results OK, or ALREADY when there is no alarm
--
-- @include keys
-- @include room
-- @include time
-- @include events

local loss = redis.call('HMGET', K_META, 'lost', 'loss_acknowledged')
if not loss[1] or loss[2] then
  return ALREADY
end
redis.call('HSET', K_META, 'loss_acknowledged', digits(NOW_MS))
event('loss-acknowledged', 'who', ARGV[1])
return OK
