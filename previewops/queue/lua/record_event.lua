-- Records one event, for acts that are made of several steps.
--
-- KEYS    1 the queue; all others by name (include/keys.lua)
-- ARGV    1 kind   then pairs of field and value
-- Results OK
--
-- @include keys
-- @include room
-- @include time
-- @include events

event(unpack(ARGV))
return OK
