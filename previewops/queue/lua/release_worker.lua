-- Ends a worker: recovers every lease it held, and forgets the worker. For whoever saw it exit.
-- Walks the active set, which is as long as the fleet has slots; it runs once per dead worker.
--
-- KEYS    1 the queue; all others by name (include/keys.lua)
-- ARGV    1 worker id   2 crashes that make a job poison   3 why, for the attempt   4 fingerprint of that error
--         5 the kind of event to record (worker-stopped | worker-lost)
-- Results ids recovered
--
-- @include keys
-- @include room
-- @include time
-- @include counters
-- @include events
-- @include waiting
-- @include lease
-- @include result
-- @include bury
-- @include recover

local worker = ARGV[1]
local reply = {}
for _, id in ipairs(redis.call('ZRANGE', K_ACTIVE, 0, -1)) do
  if redis.call('HGET', P_JOB .. id, 'worker') == worker then
    recover(id, tonumber(ARGV[2]), ARGV[3], ARGV[4])
    reply[#reply + 1] = id
  end
end
redis.call('ZREM', K_WORKERS, worker)
redis.call('DEL', P_WORKER .. worker)
event(ARGV[5], 'worker', worker, 'message', ARGV[3], 'jobs', tostring(#reply))
write_tally()
return reply
