-- Removes a supervisor that shuts down, with its unhandled commands.
--
-- KEYS    1 the queue; all others by name (include/keys.lua)
-- ARGV    1 supervisor id
-- Results OK
--
-- @include keys

redis.call('ZREM', K_SUPERVISORS, ARGV[1])
redis.call('DEL', P_SUPERVISOR .. ARGV[1], P_ORDERS .. ARGV[1])
return OK
