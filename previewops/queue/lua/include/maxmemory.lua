-- @include keys

-- At maxmemory without eviction, Redis rejects a script at its first write, unless that write needs no memory: then the
-- script may run to its end (Redis documentation, "Scripting with Lua"). So workers can still process jobs when Redis
-- accepts no new ones. The deleted field does not exist.
do
  local reply = redis.pcall('HDEL', K_META, '')
  if type(reply) == 'table' then
    return string.find(reply.err, 'WRONGTYPE', 1, true) and foreign_key(K_META, 'hash') or reply
  end
end
