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

-- An id that our own doors would never let in can break whoever decodes it, one worker after the other.
local function unspeakable(id)
  return #id > 512 or string.find(id, '[^\33-\126]') ~= nil
end

local function turn_away(id)
  redis.call('ZREM', K_SCHEDULE, id)
  count('refused')
  event('turned-away', 'message', 'a job id of ' .. #id .. ' bytes that is not printable ASCII was enqueued by hand')
end

local function admit_due(limit)
  local due = redis.call('ZRANGEBYSCORE', K_SCHEDULE, 0, NOW_MS, 'WITHSCORES', 'LIMIT', 0, limit)
  for i = 1, #due, 2 do
    local id, due_ms = due[i], tonumber(due[i + 1])
    local job = redis.call('HMGET', P_JOB .. id, 'state', 'priority')
    local state = job[1]
    if not state and unspeakable(id) then
      turn_away(id)
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
