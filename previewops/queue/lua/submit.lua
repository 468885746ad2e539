-- Submits a batch of jobs, idempotent by id and limited by the backlog. Counts rejected submits by reason.
--
-- ARGV    1 maximum backlog (waiting and delayed jobs)
--         2 arq function name
--         3 submits that the caller rejected since its last call, because they break the contract
--         4 conflicts that the caller found after COMPARE
--         5.. six per job: id, priority, project, body digest, payload as JSON, and '' or a quota as JSON: limit,
--             projects (missing: all)
-- Results three per job: code, state, detail
--         OK         accepted                        waiting      backlog
--         DUPLICATE  the same job exists             its state    when it ended in server ms, or ''
--         CONFLICT   the id has another body         its state, or 'in another queue'   as above
--         COMPARE    body of a stock arq client      its state    that body, for the caller to compare
--         FULL       rejected                        ''           backlog
--         QUOTA      rejected                        ''           pending jobs of the quota's projects
-- Transitions new -> waiting
--
-- @include core_keys
-- @include move_aside
-- @include counters
-- @include quota
-- @include waiting

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

for reason, amount in pairs({ invalid = tonumber(ARGV[3]), conflict = tonumber(ARGV[4]) }) do
  if amount > 0 then
    count_rejected(reason, amount)
  end
end
for i = 5, #ARGV, 6 do
  local id, priority, project, digest, payload = ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3], ARGV[i + 4]
  local job = call('HMGET', P_JOB .. id, 'state', 'digest', 'finished')
  local used_up = not job[1] and ARGV[i + 5] ~= '' and find_used_up(open_quota(ARGV[i + 5]))
  if job[1] then
    on_known_id(id, digest, job[1], job[2], job[3] or '')
  elseif call('EXISTS', P_ARQ_JOB .. id, P_ARQ_RESULT .. id) > 0 then
    on_foreign_record(id)
  elseif backlog >= limit then
    reject_submit(FULL, 'full', '', tostring(backlog))
  elseif used_up then
    reject_submit(QUOTA, 'quota', '', tostring(used_up))
  else
    local order = next_sequence(1)
    call('SET', P_ARQ_JOB .. id,
      '{"t":null,"f":"' .. func .. '","a":[' .. payload .. '],"k":{},"et":' .. format_int(NOW_MS) .. '}')
    call('HSET', P_JOB .. id, 'state', 'waiting', 'priority', priority, 'project', project, 'digest', digest,
      'accepted', format_int(NOW_MS), 'order', format_int(order), 'attempts', 0, 'crashes', 0)
    add_waiting(id, priority, order, NOW_MS)
    add_to_quota(id, project)
    backlog = backlog + 1
    accepted = accepted + 1
    add_reply(OK, 'waiting', tostring(backlog))
  end
end

if accepted > 0 then
  store_layout()
  count('accepted', accepted)
  wake_worker()
end
flush_counters()
return reply
