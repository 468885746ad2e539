-- A caller holds a job if the job is active under the caller's fencing token.
local function held(id, token)
  local job = redis.call('HMGET', P_JOB .. id, 'state', 'token', 'settled')
  if job[1] == 'active' and job[2] == token then
    return OK
  end
  if job[3] == token then
    return ALREADY
  end
  return STALE
end

-- `settled` remembers the token of the last lease that ended by its holder's word, so that a call repeated
-- because its reply was lost is recognised.
local function end_lease(id, token)
  redis.call('ZREM', K_ACTIVE, id)
  redis.call('DEL', P_ARQ_IN_PROGRESS .. id)
  redis.call('HDEL', P_JOB .. id, 'token', 'worker', 'progress', 'phase')
  redis.call('HSET', P_JOB .. id, 'settled', token)
end

local function put_back(id, priority, order)
  redis.call('HSET', P_JOB .. id, 'state', 'waiting')
  put_waiting(id, priority, tonumber(order), math.floor(tonumber(order) / 1000))
  wake()
end
