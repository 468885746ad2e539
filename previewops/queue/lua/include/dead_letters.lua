-- @include batches
-- @include breakdown
-- @include events
-- @include move_aside
-- @include result
-- @include webhooks

-- Stores how many dead letters a group has.
local function count_group(fingerprint)
  local members = call('ZCARD', P_DEAD_GROUP .. fingerprint)
  if members > 0 then
    call('ZADD', K_DEAD_GROUPS, members, fingerprint)
  else
    call('ZREM', K_DEAD_GROUPS, fingerprint)
  end
end

local function index_dead_letter(id, fingerprint, died_ms)
  call('ZADD', K_DEAD, format_int(died_ms), id)
  call('ZADD', P_DEAD_GROUP .. fingerprint, format_int(died_ms), id)
  count_group(fingerprint)
end

-- Makes a job a dead letter. The body stays under arq's job key: nothing is copied, and a stock arq client cannot
-- enqueue the same id. The result key reports the failure to stock arq clients. Neither key expires.
local function move_to_dead_letters(id, cause, error_class, code, message, fingerprint)
  local job = call('HMGET', P_JOB .. id, 'attempts', 'crashes', 'claimed', 'accepted', 'priority', 'project', 'wait',
    'batch')
  local body = get_string(P_ARQ_JOB .. id)
  local tries = to_int(job[1], 0) + to_int(job[2], 0)
  call('SET', P_ARQ_RESULT .. id, build_arq_result(id, body, false, cjson.encode(error_class .. ': ' .. message),
    tries, format_int(to_int(job[3], NOW_MS)), format_int(to_int(job[4], NOW_MS))))
  call('ZREM', K_SCHEDULE, id)
  call('HSET', P_JOB .. id, 'state', 'dead', 'finished', format_int(NOW_MS), 'cause', cause, 'class', error_class,
    'code', code, 'reason', message, 'fingerprint', fingerprint)
  index_dead_letter(id, fingerprint, NOW_MS)
  count('died')
  observe_failure(job[6], job[5], body, 'dead', job[7])
  count_by_priority('dead', job[5], cause)
  if code == 'invalid-payload' then
    count_by_priority('invalid', job[5])
  end
  add_event('dead', 'job', id, 'class', error_class, 'code', code, 'cause', cause, 'message', message)
  queue_webhooks(id, job[6], 'dead', body)
  move_in_batch(job[8], 'active', 'dead')
  redis.call('PUBLISH', P_DONE_CHANNEL .. id, 'dead')
end

-- Removes a job from the dead-letter indexes; the caller updates its record.
local function remove_from_dead_letters(id, fingerprint)
  fingerprint = fingerprint or ''
  call('ZREM', K_DEAD, id)
  call('ZREM', P_DEAD_GROUP .. fingerprint, id)
  count_group(fingerprint)
  call('DEL', P_ARQ_RESULT .. id)
end
