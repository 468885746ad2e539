-- Makes a job a dead letter. The body stays under arq's job key, so nothing is copied and a stock client cannot
-- enqueue the same id meanwhile; the result key tells stock clients that it failed. Neither ever expires.
local function bury(id, cause, error_class, code, message, fingerprint)
  local job = redis.call('HMGET', P_JOB .. id, 'attempts', 'crashes', 'claimed', 'accepted', 'priority')
  local body = text_at(P_ARQ_JOB .. id)
  local tries = tonumber(job[1] or 0) + tonumber(job[2] or 0)
  redis.call('SET', P_ARQ_RESULT .. id, arq_result(id, body, false, cjson.encode(error_class .. ': ' .. message),
    tries, job[3] or digits(NOW_MS), job[4] or digits(NOW_MS)))
  redis.call('ZREM', K_SCHEDULE, id)
  redis.call('HSET', P_JOB .. id, 'state', 'dead', 'finished', digits(NOW_MS), 'cause', cause, 'class', error_class,
    'code', code, 'reason', message, 'fingerprint', fingerprint)
  redis.call('ZADD', K_DEAD, digits(NOW_MS), id)
  redis.call('ZADD', P_DEAD_GROUP .. fingerprint, digits(NOW_MS), id)
  redis.call('ZADD', K_DEAD_GROUPS, redis.call('ZCARD', P_DEAD_GROUP .. fingerprint), fingerprint)
  count('died')
  total('dead', job[5], cause)
  if code == 'invalid-payload' then
    total('invalid', job[5])
  end
  event('dead', 'job', id, 'class', error_class, 'code', code, 'cause', cause, 'message', message)
  redis.call('PUBLISH', P_DONE .. id, 'dead')
end

-- Takes a job out of the dead-letter indexes; its record is the caller's to move on.
local function unbury(id, fingerprint)
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
