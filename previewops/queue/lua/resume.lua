-- Resumes claims and wakes a worker.
--
-- KEYS    1 the queue; all others by name (include/keys.lua)
-- ARGV    1 who   2 why
-- Results OK, or ALREADY if it was not paused
--
-- @include keys
-- @include maxmemory
-- @include time
-- @include events
-- @include waiting

if redis.call('HDEL', K_META, 'paused', 'paused_by', 'paused_why') == 0 then
  return { ALREADY }
end
add_event('resumed', 'who', ARGV[1], 'why', ARGV[2])
wake_worker()
return { OK }
