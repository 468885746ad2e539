-- Stops claims; what runs goes on. Survives restarts, as it is a field in Redis.
--
-- KEYS    1 the queue; all others by name (include/keys.lua)
-- ARGV    1 who   2 why
-- Results OK, or ALREADY with who, why and when of the pause in force
--
-- @include keys
-- @include room
-- @include time
-- @include events

local paused = redis.call('HMGET', K_META, 'paused', 'paused_by', 'paused_why')
if paused[1] then
  return { ALREADY, paused[2], paused[3], paused[1] }
end
redis.call('HSET', K_META, 'paused', digits(NOW_MS), 'paused_by', ARGV[1], 'paused_why', ARGV[2])
event('paused', 'who', ARGV[1], 'why', ARGV[2])
return { OK, ARGV[1], ARGV[2], digits(NOW_MS) }
