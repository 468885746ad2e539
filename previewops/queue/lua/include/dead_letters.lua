-- @include counters
-- @include events
-- @include result

-- Makes a job a dead letter. The body stays under arq's job key: nothing is copied, and a stock arq client cannot
-- enqueue the same id. The result key reports the failure to stock arq clients. Neither key expires.
local function move_to_dead_letters(id, cause, error_class, code, message, fingerprint)
  local job = redis.call('HMGET', P_JOB .. id, 'attempts', 'crashes', 'claimed', 'accepted', 'priority')
  local body = get_string(P_ARQ_JOB .. id)
  local tries = tonumber(job[1] or 0) + tonumber(job[2] or 0)
  redis.call('SET', P_ARQ_RESULT .. id, build_arq_result(id, body, false, cjson.encode(error_class .. ': ' .. message),
    tries, job[3] or format_int(NOW_MS), job[4] or format_int(NOW_MS)))
  redis.call('ZREM', K_SCHEDULE, id)
  redis.call('HSET', P_JOB .. id, 'state', 'dead', 'finished', format_int(NOW_MS), 'cause', cause, 'class', error_class,
    'code', code, 'reason', message, 'fingerprint', fingerprint)
  redis.call('ZADD', K_DEAD, format_int(NOW_MS), id)
  redis.call('ZADD', P_DEAD_GROUP .. fingerprint, format_int(NOW_MS), id)
  redis.call('ZADD', K_DEAD_GROUPS, redis.call('ZCARD', P_DEAD_GROUP .. fingerprint), fingerprint)
  count('died')
  count_by_priority('dead', job[5], cause)
  if code == 'invalid-payload' then
    count_by_priority('invalid', job[5])
  end
  add_event('dead', 'job', id, 'class', error_class, 'code', code, 'cause', cause, 'message', message)
  redis.call('PUBLISH', P_DONE_CHANNEL .. id, 'dead')
end

-- Removes a job from the dead-letter indexes; the caller updates its record.
local function remove_from_dead_letters(id, fingerprint)
  redis.call('ZREM', K_DEAD, id)
  redis.call('ZREM', P_DEAD_GROUP .. fingerprint, id)
  local left = redis.call('ZCARD', P_DEAD_GROUP .. fingerprint)
  if left > 0 then
    redis.call('ZADD', K_DEAD_GROUPS, left, fingerprint)
  else
    redis.call('ZREM', K_DEAD_GROUPS, fingerprint)
  end
  redis.call('DEL', P_ARQ_RESULT .. id)
end
