-- @include core_keys
-- @include move_aside
-- @include counters
-- @include body
-- @include quota
-- @include waiting

-- The common part of submit.lua and submit_with_options.lua, whose headers describe arguments and results.

local limit, func = tonumber(ARGV[1]), ARGV[2]
local backlog = waiting_count() + call('ZCOUNT', K_SCHEDULE, 0, '+inf')
local reply, accepted = {}, 0

local function add_reply(code, state, detail)
  local n = #reply
  reply[n + 1], reply[n + 2], reply[n + 3] = code, state, detail
end

local function reject_submit(code, reason, state, detail)
  count_rejected(reason, 1)
  add_reply(code, state, detail)
end

local function on_known_id(id, digest, state, stored_digest, ended)
  if stored_digest == digest then
    add_reply(DUPLICATE, state, ended)
  elseif stored_digest ~= '' then
    reject_submit(CONFLICT, 'conflict', state, ended)
  else
    add_reply(COMPARE, state, get_string(P_ARQ_JOB .. id) or get_string(P_ARQ_RESULT .. id) or '')
  end
end

-- A job of a stock arq client that no worker has admitted. arq shares ids between all queues.
local function on_foreign_record(id)
  local due_ms = call('ZSCORE', K_SCHEDULE, id)
  if due_ms then
    on_known_id(id, nil, tonumber(due_ms) > NOW_MS and 'delayed' or 'waiting', '', '')
  else
    reject_submit(CONFLICT, 'conflict', 'in another queue', '')
  end
end

local quotas, sweeps_left = {}, SWEEP_MAX

local function open_quota(text)
  local quota = quotas[text]
  if not quota then
    quota = cjson.decode(text)
    quotas[text] = quota
    for _, project in ipairs(quota.projects or {}) do
      call('ZADD', P_QUOTA .. project, '+inf', QUOTA_MARK)
      call('PEXPIRE', P_QUOTA .. project, QUOTA_TTL_MS)
      has_quota[project] = true
    end
  end
  return quota
end

-- Pending jobs under a quota, and some that have ended.
local function count_under(quota)
  local count = quota.projects and 0 or pending_count()
  for _, project in ipairs(quota.projects or {}) do
    count = count + call('ZCARD', P_QUOTA .. project) - 1
  end
  return count
end

-- The number of pending jobs if they use the quota up, else nil.
local function find_used_up(quota)
  local count = count_under(quota)
  for _, project in ipairs(count >= quota.limit and quota.projects or {}) do
    local members = math.min(sweeps_left, call('ZCARD', P_QUOTA .. project))
    sweeps_left = sweeps_left - members
    count = count - (members > 0 and sweep_quota(project, members) or 0)
  end
  return count >= quota.limit and count or nil
end


local function create_job(id, priority, project, digest, payload)
  local order = next_sequence(1)
  store_body(id, func, payload)
  call('HSET', P_JOB .. id, 'state', 'waiting', 'priority', priority, 'project', project, 'digest', digest,
    'accepted', format_int(NOW_MS), 'order', format_int(order), 'attempts', 0, 'crashes', 0)
  add_waiting(id, priority, project, order, NOW_MS)
  add_to_quota(id, project)
  backlog = backlog + 1
  accepted = accepted + 1
end

-- Whether the backlog or a quota has no room for one more job. Replies so.
local function is_rejected(quota)
  local used_up = quota ~= '' and find_used_up(open_quota(quota))
  if backlog >= limit then
    reject_submit(FULL, 'full', '', tostring(backlog))
    return true
  elseif used_up then
    reject_submit(QUOTA, 'quota', '', tostring(used_up))
  end
  return used_up
end

-- Submits the jobs in ARGV, `width` arguments each. `replace` is nil, or a function that is called for a job whose id is
-- known, with the position of its arguments and with its record's state, digest and end; it returns whether it replied.
-- `reject` and `place` are nil, or functions that are called for a new job with the same position: `reject` before it is
-- created, and returns whether it replied; `place` afterwards, and returns the state.
local function submit_jobs(width, replace, reject, place)
  for reason, amount in pairs({ invalid = tonumber(ARGV[3]), conflict = tonumber(ARGV[4]) }) do
    if amount > 0 then
      count_rejected(reason, amount)
    end
  end
  for i = 5, #ARGV, width do
    local id, digest = ARGV[i], ARGV[i + 3]
    local job = call('HMGET', P_JOB .. id, 'state', 'digest', 'finished')
    local foreign = not job[1] and call('EXISTS', P_ARQ_JOB .. id, P_ARQ_RESULT .. id) > 0
    if (job[1] or foreign) and replace and replace(i, job) then
      -- it has replied
    elseif job[1] then
      on_known_id(id, digest, job[1], job[2], job[3] or '')
    elseif foreign then
      on_foreign_record(id)
    elseif not is_rejected(ARGV[i + 5]) and not (reject and reject(i)) then
      create_job(id, ARGV[i + 1], ARGV[i + 2], digest, ARGV[i + 4])
      add_reply(OK, place and place(i) or 'waiting', tostring(backlog))
    end
  end
  if accepted > 0 then
    store_layout()
    count('accepted', accepted)
    wake_worker()
  end
end
