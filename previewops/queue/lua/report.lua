-- A supervisor's heartbeat: says how it is, takes its orders, and learns how old its workers' runs are.
-- Orders stay listed until they are acknowledged; one that nobody took in its time has expired and is dropped here.
--
-- KEYS    1 the queue; all others by name (include/keys.lua)
-- ARGV    1 supervisor id   2 what it says of itself, JSON   3 silence in ms after which a supervisor is forgotten
--         then its workers' ids
-- Results server now in ms, orders (id, fields)*, the age in ms of the oldest run of each worker, 0 without one
--
-- @include keys
-- @include room
-- @include time

local STEP = 100

local id = ARGV[1]
for _, gone in ipairs(redis.call('ZRANGEBYSCORE', K_SUPERVISORS, 0, NOW_MS - tonumber(ARGV[3]), 'LIMIT', 0, STEP)) do
  redis.call('ZREM', K_SUPERVISORS, gone)
  redis.call('DEL', P_SUPERVISOR .. gone)
end
redis.call('ZADD', K_SUPERVISORS, digits(NOW_MS), id)
redis.call('HSET', P_SUPERVISOR .. id, 'info', ARGV[2])

local orders = {}
for place = 0, STEP - 1 do
  local order = redis.call('LINDEX', P_ORDERS .. id, place)
  if not order then
    break
  end
  local fields = redis.call('HGETALL', P_ORDER .. order)
  if #fields > 0 then
    orders[#orders + 1] = { order, fields }
  end
end
if #orders == 0 then
  redis.call('DEL', P_ORDERS .. id)
end

-- What a worker runs is in its own heartbeat; a job of it that is another's by now counts for nothing.
local function age_of_oldest(worker)
  local read, info = pcall(cjson.decode, redis.call('HGET', P_WORKER .. worker, 'info') or '{}')
  local since = NOW_MS
  for _, job in ipairs(read and type(info.jobs) == 'table' and info.jobs or {}) do
    local run = redis.call('HMGET', P_JOB .. job, 'worker', 'claimed', 'state')
    if run[1] == worker and run[3] == 'active' then
      since = math.min(since, tonumber(run[2]) or NOW_MS)
    end
  end
  return NOW_MS - since
end

local ages = {}
for i = 4, #ARGV do
  ages[#ages + 1] = digits(age_of_oldest(ARGV[i]))
end
return { digits(NOW_MS), orders, ages }
