-- At maxmemory without eviction Redis refuses a script at its first write, unless that write needs no memory: then it
-- lets the script run to its end (Redis documentation, "Scripting with Lua"). Jobs can so be worked off when no more
-- can be taken in. The field does not exist.
redis.call('HDEL', K_META, '')
