-- Takes in what is due: jobs that have backed off, and jobs that a stock arq client enqueued (known by having
-- no record of ours). Their bodies lose arq's expiry here: nothing waiting expires.
local function admit_foreign(id, due_ms)
  local priority, project = describe(id)
  redis.call('DEL', P_JOB .. id, P_ATTEMPTS .. id)
  redis.call('ZREM', K_COMPLETED, id)
  redis.call('ZREM', K_CANCELLED, id)
  redis.call('PERSIST', P_ARQ_JOB .. id)
  new_record(id, 'waiting', priority, project, due_ms)
  put_waiting(id, priority, due_ms * 1000, due_ms)
  count('accepted')
end

-- An id that is no Unicode text, or holds control characters, can break whoever decodes or shows it, one worker after
-- the other; no client writes such ids by itself. Any other id ends as a job or as a dead letter.
local function unspeakable(id)
  if #id > 512 or string.find(id, '%c') or string.find(id, '\237[\160-\191]') or string.find(id, '\224[\128-\159]')
    or string.find(id, '\240[\128-\143]') or string.find(id, '\244[\144-\191]') then
    return true
  end
  local rest = string.gsub(id, '[\1-\127]', '')
  rest = string.gsub(rest, '[\194-\223][\128-\191]', '')
  rest = string.gsub(rest, '[\224-\239][\128-\191][\128-\191]', '')
  rest = string.gsub(rest, '[\240-\244][\128-\191][\128-\191][\128-\191]', '')
  return rest ~= ''
end

local function turn_away(id, why)
  redis.call('ZREM', K_SCHEDULE, id)
  count('refused')
  event('turned-away', 'message', 'an entry with ' .. why .. ' was put into the queue by hand')
end

local function admit_due(limit)
  local due = redis.call('ZRANGEBYSCORE', K_SCHEDULE, 0, NOW_MS, 'WITHSCORES', 'LIMIT', 0, limit)
  for i = 1, #due, 2 do
    local id, due_ms = due[i], tonumber(due[i + 1])
    local job = redis.call('HMGET', P_JOB .. id, 'state', 'priority')
    local state = job[1]
    if not state and unspeakable(id) then
      turn_away(id, 'an id of ' .. #id .. ' bytes that is no plain text')
    elseif state == 'delayed' then
      redis.call('HSET', P_JOB .. id, 'state', 'waiting', 'order', digits(due_ms * 1000))
      put_waiting(id, job[2], due_ms * 1000, due_ms)
    elseif state == 'waiting' or state == 'active' or state == 'dead' then
      -- arq's Job.abort rewrites the score of a job that it takes for deferred; ours says it is taken in. A job
      -- whose body was lost can be enqueued again by a stock client: it has its body back, without an expiry.
      redis.call('PERSIST', P_ARQ_JOB .. id)
      if state == 'dead' then
        redis.call('ZREM', K_SCHEDULE, id)
      else
        redis.call('ZADD', K_SCHEDULE, digits(-NOW_MS), id)
      end
    else
      admit_foreign(id, due_ms)
    end
  end
  return #due / 2
end
