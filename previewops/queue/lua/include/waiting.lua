-- One element at most: whoever takes it and leaves work behind passes it on.
local function wake()
  if redis.call('LLEN', K_WAKE) == 0 then
    redis.call('LPUSH', K_WAKE, '1')
  end
end

-- The class and project that a job's body names.
local function describe(id)
  local priority, project = 'normal', ''
  local body = text_at(P_ARQ_JOB .. id)
  local read, job = pcall(cjson.decode, body or '')
  if read and type(job) == 'table' and type(job.a) == 'table' and type(job.a[1]) == 'table' then
    local payload = job.a[1]
    if type(payload.priority) == 'string' and WAITING[payload.priority] then
      priority = payload.priority
    end
    if type(payload.projectId) == 'string' then
      project = payload.projectId
    end
  end
  return priority, project
end

-- The record of a job that has none: a stock client's, or one whose record Redis has evicted.
local function new_record(id, state, priority, project, since_ms)
  redis.call('HSET', P_JOB .. id, 'state', state, 'priority', priority, 'project', project, 'digest', '',
    'accepted', digits(since_ms), 'order', digits(since_ms * 1000), 'attempts', 0, 'crashes', 0)
end

local function put_waiting(id, priority, score, due_ms)
  redis.call('ZADD', WAITING[priority], digits(score), id)
  redis.call('ZADD', K_SCHEDULE, digits(-due_ms), id)
end

local function waiting_total()
  return redis.call('ZCARD', K_HIGH) + redis.call('ZCARD', K_NORMAL) + redis.call('ZCARD', K_LOW)
end
