-- Removes a supervisor that shuts down, with its unhandled commands.
--
-- ARGV    1 supervisor id
-- Results OK
--
-- @include move_aside
-- @include keys

call('ZREM', K_SUPERVISORS, ARGV[1])
call('DEL', P_SUPERVISOR .. ARGV[1], P_COMMANDS .. ARGV[1])
return OK
