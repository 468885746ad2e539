-- @include active
-- @include batches
-- @include counters
-- @include events
-- @include result
-- @include webhooks

-- Cancels a pending job. Its token is void at once; a running render stops at its worker's next heartbeat. Without an event:
-- a bulk command records one for all its jobs.
local function end_as_cancelled(id, who, reason, ttl_ms)
  local job = call('HMGET', P_JOB .. id, 'priority', 'attempts', 'crashes', 'claimed', 'accepted', 'project', 'batch')
  local message = 'cancelled by ' .. who .. (reason ~= '' and ': ' .. reason or '')
  local body = get_string(P_ARQ_JOB .. id)
  call('SET', P_ARQ_RESULT .. id, build_arq_result(id, body, false, cjson.encode(message),
    to_int(job[2], 0) + to_int(job[3], 0), format_int(to_int(job[4], NOW_MS)), format_int(to_int(job[5], NOW_MS))),
    'PX', ttl_ms)
  call('DEL', P_ARQ_JOB .. id, P_ARQ_IN_PROGRESS .. id)
  for priority in pairs(WAITING) do
    remove_waiting(id, priority, job[6])
  end
  call('ZREM', K_ACTIVE, id)
  leave_active(id, job[6])
  call('ZREM', K_SCHEDULE, id)
  call('HDEL', P_JOB .. id, 'token', 'ahead')
  call('HSET', P_JOB .. id, 'state', 'cancelled', 'finished', format_int(NOW_MS), 'reason', message)
  call('ZADD', K_CANCELLED, format_int(NOW_MS), id)
  count('cancelled')
  queue_webhooks(id, job[6], 'cancelled', body)
  move_in_batch(job[7], 'active', 'cancelled')
  redis.call('PUBLISH', P_DONE_CHANNEL .. id, 'cancelled')
end

local function cancel_job(id, who, reason, ttl_ms)
  end_as_cancelled(id, who, reason, ttl_ms)
  add_event('cancelled', 'job', id, 'who', who, 'why', reason)
end
