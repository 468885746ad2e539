-- A caller holds a job while the job is active under the caller's fencing token. The token stays on record when its
-- holder ends the lease, so that a call repeated because its reply was lost is recognised; whoever takes a job away
-- from its holder removes the token.
local function held(id, token)
  local job = redis.call('HMGET', P_JOB .. id, 'state', 'token')
  if job[2] ~= token then
    return STALE
  end
  return job[1] == 'active' and OK or ALREADY
end

-- The in-progress key is arq's and may have run out before the lease was recovered: it is set, not prolonged.
local function renew_lease(id, token, lease_ms)
  redis.call('ZADD', K_ACTIVE, digits(NOW_MS + lease_ms), id)
  redis.call('SET', P_ARQ_IN_PROGRESS .. id, token, 'PX', lease_ms)
end

local function end_lease(id)
  redis.call('ZREM', K_ACTIVE, id)
  redis.call('DEL', P_ARQ_IN_PROGRESS .. id)
end

local function take_away(id)
  end_lease(id)
  redis.call('HDEL', P_JOB .. id, 'token')
end

-- The place is that of its order, as if it had never been taken; its wait begins anew, as its run is no part of one.
local function put_back(id, priority, order)
  redis.call('HSET', P_JOB .. id, 'state', 'waiting', 'since', NOW_US)
  put_waiting(id, priority, tonumber(order), math.floor(tonumber(order) / 1000))
  wake()
end
