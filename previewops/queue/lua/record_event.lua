-- Records one event, for operations of several script calls.
--
-- ARGV    1 kind   then pairs of field and value
-- Results OK
--
-- @include maxmemory
-- @include move_aside
-- @include layout
-- @include events

add_event(unpack(ARGV))
return OK
