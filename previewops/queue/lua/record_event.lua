-- Records one event, for operations of several script calls.
--
-- KEYS    1 the queue; all others by name (include/keys.lua)
-- ARGV    1 kind   then pairs of field and value
-- Results OK
--
-- @include keys
-- @include maxmemory
-- @include time
-- @include events

add_event(unpack(ARGV))
return OK
