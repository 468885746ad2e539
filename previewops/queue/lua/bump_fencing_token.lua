-- Increases the queue's sequence, so that the next fencing token is larger than the one a bundle's fence stores.
-- Needed after a fail-over to a server whose clock is behind and which lost the latest writes.
--
-- ARGV    1 the token to exceed
-- Results OK
--
-- @include core_keys
-- @include move_aside
-- @include keys

local last = to_int(call('HGET', K_META, 'sequence'), 0)
call('HSET', K_META, 'sequence', format_int(math.max(last, tonumber(ARGV[1]))))
return OK
