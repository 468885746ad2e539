-- Resumes claims and wakes a worker.
--
-- ARGV    1 who   2 reason
-- Results OK, or ALREADY if it was not paused
--
-- @include maxmemory
-- @include core_keys
-- @include move_aside
-- @include events
-- @include waiting

if call('HDEL', K_META, 'paused', 'paused_by', 'paused_why') == 0 then
  return { ALREADY }
end
add_event('resumed', 'who', ARGV[1], 'why', ARGV[2])
wake_worker()
return { OK }
