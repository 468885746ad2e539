-- @include core_keys
-- @include counters
-- @include job_id
-- @include waiting

-- Serves high before normal before low, first in first out within each. A lower class whose head has waited longer than
-- the ageing limit gets every fourth claim: no job starves, and many old low jobs cannot hold back high ones.
local AGED_SHARE = 4

local function parse_head(priority, head)
  return head[1] and { id = head[1], priority = priority, since = to_int(head[2], NOW_US) } or nil
end

local function oldest_waiting(priority)
  return parse_head(priority, redis.call('ZRANGE', WAITING[priority], 0, 0, 'WITHSCORES'))
end

local function choose_head(heads, ageing_us)
  local first = heads.high or heads.normal or heads.low
  local aged = nil
  for _, head in pairs(heads) do
    if head ~= first and NOW_US - head.since > ageing_us and (aged == nil or head.since < aged.since) then
      aged = head
    end
  end
  if aged == nil then
    return first
  end
  local passed_over = call('HINCRBY', K_META, 'passed_over', 1)
  if passed_over <= 0 or passed_over >= AGED_SHARE then -- 0 or less: the counter is damaged
    call('HSET', K_META, 'passed_over', 0)
    return aged
  end
  return first
end

-- The record of a job that may be claimed; nil if its entry in `waiting` is damaged. A record that another program
-- replaced or deleted is created again from the body.
local function read_claimable(id, head)
  local job = call('HMGET', P_JOB .. id, 'accepted', 'attempts', 'crashes', 'since', 'state')
  if job[5] == 'waiting' and to_int(job[1]) then
    return job
  elseif is_invalid_id(id) then
    call('ZREM', K_SCHEDULE, id)
    count('refused')
    return nil
  elseif job[5] ~= 'waiting' and STATES[job[5]] then
    return nil -- the record is right: the job is elsewhere
  end
  local since_ms = math.floor(head.since / 1000)
  if job[1] or job[5] then
    call('HSET', P_JOB .. id, 'accepted', format_int(since_ms))
    job[1] = since_ms
    return job
  end
  local _, project = read_priority_and_project(id)
  create_record(id, 'waiting', head.priority, project, since_ms)
  return { since_ms, 0, 0 }
end

-- Appends up to `max_claims` claims to `reply`, and up to `max_ahead` claims ahead, which wait in the worker for a slot
-- (include/lease.lua). These are at most half of the jobs that wait after the others: another worker finds the rest.
-- Nine elements each: id, body or false, token, accepted ms, attempts, crashes, wait ms, priority, 1 if ahead or else 0.
-- `heads_changed`: the script has added waiting jobs.
local function claim_jobs(reply, worker, lease_ms, ageing_ms, max_claims, max_ahead, heads_changed)
  if max_claims + max_ahead == 0 then
    return
  end
  if stored_meta[2] then -- paused
    return
  end
  local heads = {}
  if heads_changed then
    read_first_heads()
  end
  for i, priority in ipairs({ 'high', 'normal', 'low' }) do
    heads[priority] = parse_head(priority, first_heads[i])
  end
  local first_token = nil
  local n = #reply
  local ahead_end = nil
  for i = 0, max_claims + max_ahead - 1 do
    if i == max_claims then
      ahead_end = max_claims + math.floor(waiting_count() / 2)
    end
    if ahead_end and i >= ahead_end then
      break
    end
    local head = choose_head(heads, ageing_ms * 1000)
    if head == nil then
      return
    end
    local id, record = head.id, P_JOB .. head.id
    redis.call('ZREM', WAITING[head.priority], id)
    heads[head.priority] = oldest_waiting(head.priority)
    local job = read_claimable(id, head)
    if job then
      first_token = first_token or sequence_after(stored_meta[3], max_claims + max_ahead)
      local token = format_int(first_token + i)
      -- A retry waits since its order (its due time), which is later than when it was put back.
      local wait_ms = math.max(0, (NOW_US - math.max(head.since, to_int(job[4], 0))) / 1000)
      local wait = string.format('%.1f', wait_ms)
      local ahead = i >= max_claims
      -- Without `ahead` the last pair repeats the one before it: a call accepts no nil.
      redis.call('HSET', record, 'state', 'active', 'token', token, 'worker', worker, 'claimed', NOW_MS, 'wait', wait,
        'progress', '0', 'phase', '', ahead and 'ahead' or 'phase', ahead and '1' or '')
      redis.call('ZADD', K_ACTIVE, NOW_MS + lease_ms, id)
      redis.call('SET', P_ARQ_IN_PROGRESS .. id, token, 'PX', lease_ms)
      observe('w', wait_ms, head.priority)
      reply[n + 1], reply[n + 2], reply[n + 3] = id, get_string(P_ARQ_JOB .. id), token
      reply[n + 4], reply[n + 5], reply[n + 6] = format_int(job[1]), to_int(job[2], 0), to_int(job[3], 0)
      reply[n + 7], reply[n + 8], reply[n + 9] = wait, head.priority, ahead and 1 or 0
      n = n + 9
    end
  end
  if next(heads) ~= nil then
    wake_worker()
  end
end
