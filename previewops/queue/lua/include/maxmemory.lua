-- @include call

-- At maxmemory without eviction, Redis rejects a script at its first write, unless that write needs no memory: then the
-- script may run to its end (Redis documentation, "Scripting with Lua"). So workers can still process jobs when Redis
-- accepts no new ones. The deleted field does not exist.
call('HDEL', K_META, '')
