-- Records what workers remove from the caches of their hosts, and forgets what is so old that caches have expired it.
--
-- ARGV    1 marks as JSON (queue/erasures.py)   2 time to keep them in ms
-- Results OK
--
-- @include core_keys
-- @include move_aside
-- @include time

call('ZREMRANGEBYSCORE', K_ERASURES, '-inf', NOW_MS - tonumber(ARGV[2]))
call('ZADD', K_ERASURES, format_int(NOW_MS), ARGV[1])
return OK
