-- @include cancel_job
-- @include counters
-- @include events
-- @include job_id
-- @include move_aside
-- @include quota
-- @include waiting

-- Admits due jobs: moves them from the schedule to a waiting list. These are jobs after their backoff, and jobs that a
-- stock arq client enqueued (they have no record). Admission removes arq's expiry of the body: waiting jobs do not
-- expire.
local function admit_foreign(id, due_ms)
  local priority, project = read_priority_and_project(id)
  call('DEL', P_JOB .. id, P_ATTEMPTS .. id)
  call('ZREM', K_COMPLETED, id)
  call('ZREM', K_CANCELLED, id)
  call('PERSIST', P_ARQ_JOB .. id)
  create_record(id, 'waiting', priority, project, due_ms)
  redis.call('HSET', K_META, 'stock_enqueue', NOW_MS)
  add_waiting(id, priority, project, due_ms * 1000, due_ms)
  add_to_quota(id, project)
  if not moved_aside[P_JOB .. id] then
    count('accepted')
  end
end

local function reject(id, reason)
  call('ZREM', K_SCHEDULE, id)
  count('refused')
  add_event('entry-rejected', 'message', 'somebody put an entry with ' .. reason .. ' into the queue by hand')
end

-- arq's Job.abort gives a deferred job this score, so that a worker of arq takes it and finds its id in the set of aborts.
local ABORTED_SCORE = 1
local ABORTED_BY = 'a stock arq client (Job.abort)'
local ABORTED_TTL_MS = 24 * 3600 * 1000

local function cancel_aborted(id)
  call('ZREM', K_ARQ_ABORTS, id)
  cancel_job(id, ABORTED_BY, '', ABORTED_TTL_MS)
end

local function is_aborted(id, due_ms)
  return due_ms == ABORTED_SCORE and call('ZSCORE', K_ARQ_ABORTS, id) ~= false
end

local function admit_due(limit)
  local due = call('ZRANGEBYSCORE', K_SCHEDULE, 0, NOW_MS, 'WITHSCORES', 'LIMIT', 0, limit)
  for i = 1, #due, 2 do
    local id, due_ms = due[i], tonumber(due[i + 1])
    local job = call('HMGET', P_JOB .. id, 'state', 'priority', 'accepted', 'project')
    local state = job[1]
    if job[3] and not STATES[state] then
      state = 'delayed' -- the record is damaged, and only delayed jobs become due
    end
    if not state and is_invalid_id(id) then
      reject(id, 'an id of ' .. #id .. ' bytes that is not plain text')
    elseif is_aborted(id, due_ms) and state ~= 'dead' then
      if state ~= 'waiting' and state ~= 'active' and state ~= 'delayed' then
        admit_foreign(id, NOW_MS)
      end
      cancel_aborted(id)
    elseif state == 'delayed' then
      call('HSET', P_JOB .. id, 'state', 'waiting', 'order', format_int(due_ms * 1000))
      add_waiting(id, class_of(job[2]), job[4], due_ms * 1000, due_ms)
    elseif state == 'waiting' or state == 'active' or state == 'dead' then
      -- arq's Job.abort rewrites the score of a job that looks deferred; the negative score marks it as admitted again.
      -- A stock arq client can enqueue a job again whose body was lost: it has a body again, which must not expire.
      call('PERSIST', P_ARQ_JOB .. id)
      if state == 'dead' then
        call('ZREM', K_SCHEDULE, id)
      else
        call('ZADD', K_SCHEDULE, format_int(-NOW_MS), id)
      end
    else
      admit_foreign(id, due_ms)
    end
  end
  return #due / 2
end
