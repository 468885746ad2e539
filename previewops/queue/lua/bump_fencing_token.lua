-- Increases the queue's sequence, so that the next fencing token is larger than the one a bundle's fence stores.
-- Needed after a fail-over to a server whose clock is behind and which lost the latest writes.
--
-- ARGV    1 the token to exceed
-- Results OK
--
-- @include keys

local last = tonumber(redis.call('HGET', K_META, 'sequence') or '0')
redis.call('HSET', K_META, 'sequence', string.format('%.0f', math.max(last, tonumber(ARGV[1]))))
return OK
