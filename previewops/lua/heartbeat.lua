-- Says that a worker lives and renews the leases it names.
--
-- KEYS    1 the queue; all others by name (include/keys.lua)
-- ARGV    1 worker id   2 what the worker says of itself, JSON   3 lease in ms
--         then four per job: id, token, progress 0..1, phase
-- Results server now in ms, then the ids whose lease is lost: stop working on them
--
-- @include keys
-- @include time
-- @include waiting
-- @include lease

local worker, lease_ms = ARGV[1], tonumber(ARGV[3])
redis.call('ZADD', K_WORKERS, digits(NOW_MS), worker)
redis.call('HSET', P_WORKER .. worker, 'info', ARGV[2])
local reply = { digits(NOW_MS) }
for i = 4, #ARGV, 4 do
  local id, token = ARGV[i], ARGV[i + 1]
  if held(id, token) == OK then
    renew_lease(id, token, lease_ms)
    redis.call('HSET', P_JOB .. id, 'progress', ARGV[i + 2], 'phase', ARGV[i + 3])
  else
    reply[#reply + 1] = id
  end
end
return reply
