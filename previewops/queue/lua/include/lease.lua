-- @include active

-- A caller holds a job while the job is active under the caller's fencing token. The record keeps the token after its
-- holder ends the lease, so that a repeated call (after a lost reply) is recognised. revoke_lease removes the token.
local function check_lease(id, token)
  local job = call('HMGET', P_JOB .. id, 'state', 'token')
  if job[2] ~= token then
    return STALE
  end
  return job[1] == 'active' and OK or ALREADY
end

-- arq's in-progress key may have expired already, so it is set, not extended.
local function renew_lease(id, token, lease_ms)
  call('ZADD', K_ACTIVE, format_int(NOW_MS + lease_ms), id)
  call('SET', P_ARQ_IN_PROGRESS .. id, token, 'PX', lease_ms)
end

-- A claim ahead waits in its worker for a slot. If the worker is lost before the job has started, that is not a crash.
local function mark_started(id)
  call('HDEL', P_JOB .. id, 'ahead')
end

local function end_lease(id)
  call('ZREM', K_ACTIVE, id)
  leave_active(id, stored_meta[6] and call('HGET', P_JOB .. id, 'project'))
  call('DEL', P_ARQ_IN_PROGRESS .. id)
  mark_started(id)
end

local function revoke_lease(id)
  end_lease(id)
  call('HDEL', P_JOB .. id, 'token')
end

-- The job gets its old position in the queue. Its wait time restarts, because the run is not part of it.
local function return_to_waiting(id, priority, order)
  local class, project = class_of(priority), call('HGET', P_JOB .. id, 'project')
  order = to_int(order, NOW_US)
  call('HSET', P_JOB .. id, 'state', 'waiting', 'since', NOW_US)
  add_waiting(id, class, project, order, math.floor(order / 1000))
  wake_worker()
end
