-- @include counters
-- @include events
-- @include result

-- Cancels a pending job. Its token is void at once; a running render stops at its worker's next heartbeat.
local function cancel_job(id, who, why, ttl_ms)
  local job = redis.call('HMGET', P_JOB .. id, 'priority', 'attempts', 'crashes', 'claimed', 'accepted')
  local message = 'cancelled by ' .. who .. (why ~= '' and ': ' .. why or '')
  local body = get_string(P_ARQ_JOB .. id)
  redis.call('SET', P_ARQ_RESULT .. id, build_arq_result(id, body, false, cjson.encode(message),
    tonumber(job[2]) + tonumber(job[3]), job[4] or format_int(NOW_MS), job[5]), 'PX', ttl_ms)
  redis.call('DEL', P_ARQ_JOB .. id, P_ARQ_IN_PROGRESS .. id)
  redis.call('ZREM', WAITING[job[1]], id)
  redis.call('ZREM', K_ACTIVE, id)
  redis.call('ZREM', K_SCHEDULE, id)
  redis.call('HDEL', P_JOB .. id, 'token')
  redis.call('HSET', P_JOB .. id, 'state', 'cancelled', 'finished', format_int(NOW_MS), 'reason', message)
  redis.call('ZADD', K_CANCELLED, format_int(NOW_MS), id)
  count('cancelled')
  add_event('cancelled', 'job', id, 'who', who, 'why', why)
  redis.call('PUBLISH', P_DONE_CHANNEL .. id, 'cancelled')
end
