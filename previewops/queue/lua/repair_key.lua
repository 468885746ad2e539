-- Moves a key of a wrong type aside.
--
-- ARGV    1 key   2 the type it must have, or 'none' to move it aside whatever it is
-- Results OK, or ALREADY if the type is right
--
-- @include layout
-- @include move_aside

local found = redis.call('TYPE', ARGV[1]).ok
if found == 'none' or found == ARGV[2] then
  return ALREADY
end
quarantine(ARGV[1])
return OK
