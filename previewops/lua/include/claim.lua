-- High before normal before low, first in first out within each. A lower class whose head has waited longer than
-- the ageing bound gets every fourth claim, so nothing starves and a flood of old low jobs cannot hold back high.
local AGED_SHARE = 4
local CLASSES = { 'high', 'normal', 'low' }

local function heads()
  local found = {}
  for _, priority in ipairs(CLASSES) do
    local head = redis.call('ZRANGE', WAITING[priority], 0, 0, 'WITHSCORES')
    if head[1] then
      found[#found + 1] = { id = head[1], priority = priority, since = tonumber(head[2]) }
    end
  end
  return found
end

local function choose(ageing_ms)
  local found = heads()
  local first = found[1]
  local aged = nil
  for i = 2, #found do
    if NOW_US - found[i].since > ageing_ms * 1000 and (aged == nil or found[i].since < aged.since) then
      aged = found[i]
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

-- Appends up to `want` claims to `reply`, eight elements each:
-- id, body or false, token, accepted ms, attempts, crashes, wait ms, priority.
local function claim(reply, worker, lease_ms, ageing_ms, want)
  if redis.call('HEXISTS', K_META, 'paused') == 1 then
    return
  end
  admit_due(want + 8)
  for _ = 1, want do
    local head = choose(ageing_ms)
    if head == nil then
      return
    end
    local id = head.id
    redis.call('ZREM', WAITING[head.priority], id)
    local job = redis.call('HMGET', P_JOB .. id, 'accepted', 'attempts', 'crashes')
    local token = digits(next_sequence())
    local wait_ms = math.max(0, (NOW_US - head.since) / 1000)
    redis.call('HSET', P_JOB .. id, 'state', 'active', 'token', token, 'worker', worker, 'claimed', digits(NOW_MS),
      'wait', string.format('%.1f', wait_ms))
    redis.call('ZADD', K_ACTIVE, digits(NOW_MS + lease_ms), id)
    redis.call('SET', P_ARQ_IN_PROGRESS .. id, token, 'PX', digits(lease_ms))
    observe('w', wait_ms)
    local n = #reply
    reply[n + 1] = id
    reply[n + 2] = redis.call('GET', P_ARQ_JOB .. id)
    reply[n + 3] = token
    reply[n + 4] = job[1]
    reply[n + 5] = job[2]
    reply[n + 6] = job[3]
    reply[n + 7] = string.format('%.1f', wait_ms)
    reply[n + 8] = head.priority
  end
  if waiting_total() > 0 then
    wake()
  end
end
