-- @include counters
-- @include waiting

-- Serves high before normal before low, first in first out within each. A lower class whose head has waited longer than
-- the ageing limit gets every fourth claim: no job starves, and many old low jobs cannot hold back high ones.
local AGED_SHARE = 4

local function oldest_waiting(priority)
  local head = redis.call('ZRANGE', WAITING[priority], 0, 0, 'WITHSCORES')
  return head[1] and { id = head[1], priority = priority, since = tonumber(head[2]) } or nil
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
  if redis.call('HINCRBY', K_META, 'passed_over', 1) >= AGED_SHARE then
    redis.call('HSET', K_META, 'passed_over', 0)
    return aged
  end
  return first
end

-- Appends up to `max_claims` claims to `reply`, eight elements each:
-- id, body or false, token, accepted ms, attempts, crashes, wait ms, priority.
local function claim_jobs(reply, worker, lease_ms, ageing_ms, max_claims)
  if max_claims == 0 then
    return
  end
  local meta = redis.call('HMGET', K_META, 'paused', 'sequence')
  if meta[1] then
    return
  end
  local heads = { high = oldest_waiting('high'), normal = oldest_waiting('normal'), low = oldest_waiting('low') }
  local first_token = nil
  local n = #reply
  for i = 0, max_claims - 1 do
    local head = choose_head(heads, ageing_ms * 1000)
    if head == nil then
      return
    end
    first_token = first_token or sequence_after(meta[2], max_claims)
    local id, token = head.id, format_int(first_token + i)
    local record = P_JOB .. id
    redis.call('ZREM', WAITING[head.priority], id)
    heads[head.priority] = oldest_waiting(head.priority)
    local job = redis.call('HMGET', record, 'accepted', 'attempts', 'crashes', 'since')
    if not job[1] then
      local _, project = read_priority_and_project(id)
      local since_ms = math.floor(head.since / 1000)
      create_record(id, 'waiting', head.priority, project, since_ms)
      job = { format_int(since_ms), '0', '0' }
    end
    -- A retry waits since its order (its due time), which is later than when it was put back.
    local wait_ms = math.max(0, (NOW_US - math.max(head.since, tonumber(job[4] or 0))) / 1000)
    local wait = string.format('%.1f', wait_ms)
    redis.call('HSET', record, 'state', 'active', 'token', token, 'worker', worker, 'claimed', NOW_MS, 'wait', wait,
      'progress', '0', 'phase', '')
    redis.call('ZADD', K_ACTIVE, NOW_MS + lease_ms, id)
    redis.call('SET', P_ARQ_IN_PROGRESS .. id, token, 'PX', lease_ms)
    observe('w', wait_ms, head.priority)
    reply[n + 1], reply[n + 2], reply[n + 3], reply[n + 4] = id, get_string(P_ARQ_JOB .. id), token, job[1]
    reply[n + 5], reply[n + 6], reply[n + 7], reply[n + 8] = job[2], job[3], wait, head.priority
    n = n + 8
  end
  if next(heads) ~= nil then
    wake_worker()
  end
end
