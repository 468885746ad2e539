-- Says that a worker lives, renews the leases it names, and raises an alarm when the queue is not the one that the
-- worker knows: Redis was emptied, or came back without its data. Only the first to notice raises it.
--
-- KEYS    1 the queue; all others by name (include/keys.lua)
-- ARGV    1 worker id   2 what the worker says of itself, JSON   3 lease in ms
--         4 the birth of the queue as this worker knows it, '' for not yet
--         then four per job: id, token, progress 0..1, phase
-- Results server now in ms, birth of the queue, then the ids whose lease is lost: stop working on them
--
-- @include keys
-- @include room
-- @include time
-- @include events
-- @include waiting
-- @include lease

local worker, lease_ms, known = ARGV[1], tonumber(ARGV[3]), ARGV[4]

local born = redis.call('HGET', K_META, 'born')
if not born then
  born = digits(NOW_US)
  redis.call('HSET', K_META, 'born', born)
end
if known ~= '' and known ~= born and redis.call('HSETNX', K_META, 'lost', digits(NOW_MS)) == 1 then
  event('data-lost', 'worker', worker, 'message', 'the queue is not the one that this worker knows')
end

redis.call('ZADD', K_WORKERS, digits(NOW_MS), worker)
redis.call('HSET', P_WORKER .. worker, 'info', ARGV[2])
local reply = { digits(NOW_MS), born }
for i = 5, #ARGV, 4 do
  local id, token = ARGV[i], ARGV[i + 1]
  if held(id, token) == OK then
    renew_lease(id, token, lease_ms)
    redis.call('HSET', P_JOB .. id, 'progress', ARGV[i + 2], 'phase', ARGV[i + 3])
  else
    reply[#reply + 1] = id
  end
end
return reply
