-- @include time
-- @include turns

-- The list has one element at most. A worker that takes it and leaves waiting jobs wakes the next worker.
local function wake_worker()
  if call('LLEN', K_WAKE) == 0 then
    call('LPUSH', K_WAKE, '1')
  end
end

-- The priority and project in a job's body.
local function read_priority_and_project(id)
  local priority, project = 'normal', ''
  local body = get_string(P_ARQ_JOB .. id)
  local ok, job = pcall(cjson.decode, body or '')
  if ok and type(job) == 'table' and type(job.a) == 'table' and type(job.a[1]) == 'table' then
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

-- Creates the record of a job without one: from a stock arq client, or evicted by Redis.
local function create_record(id, state, priority, project, since_ms)
  call('HSET', P_JOB .. id, 'state', state, 'priority', priority, 'project', project, 'digest', '',
    'accepted', format_int(since_ms), 'order', format_int(since_ms * 1000), 'attempts', 0, 'crashes', 0)
end

-- Keeps stock arq workers from this queue (queue/keys.py). Repairs a damaged score, by which it would count as a job.
-- An equal score is not written again, so it costs nothing in the append-only file.
local function guard_schedule()
  call('ZADD', K_SCHEDULE, ARQ_GUARD_SCORE, ARQ_GUARD)
end

-- The only functions through which jobs enter and leave the waiting lists, besides claims.
local function add_waiting(id, priority, project, score, due_ms)
  guard_schedule()
  call('ZADD', WAITING[priority], format_int(score), id)
  index_waiting(id, priority, project, score)
  call('ZADD', K_SCHEDULE, format_int(-due_ms), id)
end

local function remove_waiting(id, priority, project)
  call('ZREM', WAITING[priority], id)
  unindex_waiting(id, priority, project)
end

-- Adds those jobs of a range of WAITING to their projects that are missing there. Returns their number.
local function index_range(priority, first, last)
  local added = 0
  local jobs = call('ZRANGE', WAITING[priority], first, last, 'WITHSCORES')
  for i = 1, #jobs, 2 do
    local project = call('HGET', P_JOB .. jobs[i], 'project')
    added = added + index_waiting(jobs[i], priority, project, to_int(jobs[i + 1], NOW_US))
  end
  return added
end

local function pending_count()
  return call('ZCOUNT', K_SCHEDULE, '(' .. ARQ_GUARD_SCORE, '+inf')
end

local function waiting_count()
  return call('ZCARD', K_HIGH) + call('ZCARD', K_NORMAL) + call('ZCARD', K_LOW)
end
