-- @include cancel_job
-- @include counters
-- @include events
-- @include waiting

-- Admits due jobs: moves them from the schedule to a waiting list. These are jobs after their backoff, and jobs that a
-- stock arq client enqueued (they have no record). Admission removes arq's expiry of the body: waiting jobs do not
-- expire.
local function admit_foreign(id, due_ms)
  local priority, project = read_priority_and_project(id)
  redis.call('DEL', P_JOB .. id, P_ATTEMPTS .. id)
  redis.call('ZREM', K_COMPLETED, id)
  redis.call('ZREM', K_CANCELLED, id)
  redis.call('PERSIST', P_ARQ_JOB .. id)
  create_record(id, 'waiting', priority, project, due_ms)
  redis.call('HSET', K_META, 'stock_enqueue', NOW_MS)
  add_waiting(id, priority, due_ms * 1000, due_ms)
  count('accepted')
end

-- An id that is not UTF-8, is too long or has control characters could crash one worker after the other that decodes or
-- prints it. No client writes such ids. Every other id becomes a job or a dead letter.
local function is_invalid_id(id)
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

local function reject(id, why)
  redis.call('ZREM', K_SCHEDULE, id)
  count('refused')
  add_event('turned-away', 'message', 'somebody put an entry with ' .. why .. ' into the queue by hand')
end

-- arq's Job.abort gives a deferred job this score, so that a worker of arq takes it and finds its id in the set of aborts.
local ABORTED_SCORE = 1
local ABORTED_BY = 'a stock arq client (Job.abort)'
local ABORTED_TTL_MS = 24 * 3600 * 1000

local function cancel_aborted(id)
  redis.call('ZREM', K_ARQ_ABORTS, id)
  cancel_job(id, ABORTED_BY, '', ABORTED_TTL_MS)
end

local function is_aborted(id, due_ms)
  return due_ms == ABORTED_SCORE and redis.call('ZSCORE', K_ARQ_ABORTS, id) ~= false
end

local function admit_due(limit)
  local due = redis.call('ZRANGEBYSCORE', K_SCHEDULE, 0, NOW_MS, 'WITHSCORES', 'LIMIT', 0, limit)
  for i = 1, #due, 2 do
    local id, due_ms = due[i], tonumber(due[i + 1])
    local job = redis.call('HMGET', P_JOB .. id, 'state', 'priority')
    local state = job[1]
    if not state and is_invalid_id(id) then
      reject(id, 'an id of ' .. #id .. ' bytes that is not plain text')
    elseif is_aborted(id, due_ms) and state ~= 'dead' then
      if state ~= 'waiting' and state ~= 'active' and state ~= 'delayed' then
        admit_foreign(id, NOW_MS)
      end
      cancel_aborted(id)
    elseif state == 'delayed' then
      redis.call('HSET', P_JOB .. id, 'state', 'waiting', 'order', format_int(due_ms * 1000))
      add_waiting(id, job[2], due_ms * 1000, due_ms)
    elseif state == 'waiting' or state == 'active' or state == 'dead' then
      -- arq's Job.abort rewrites the score of a job that looks deferred; the negative score marks it as admitted again.
      -- A stock arq client can enqueue a job again whose body was lost: it has a body again, which must not expire.
      redis.call('PERSIST', P_ARQ_JOB .. id)
      if state == 'dead' then
        redis.call('ZREM', K_SCHEDULE, id)
      else
        redis.call('ZADD', K_SCHEDULE, format_int(-NOW_MS), id)
      end
    else
      admit_foreign(id, due_ms)
    end
  end
  return #due / 2
end
