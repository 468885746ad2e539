-- Lists jobs by time, from a place on, as far as a budget goes: those that run first, by claim, then all others merged.
-- Jobs of stock clients that nobody has taken in yet are among them.
--
-- KEYS    1 the queue; all others by name (include/keys.lua)
-- ARGV    1 state, '' for all   2 1 for newest first, 0 for oldest first   3 most rows   4 most ids to examine
--         5 to 7 the place that an earlier call has reached, '' for the beginning (include/walk.lua; 0 and the token
--         among those that run)   8.. the filter (include/match.lua)
-- Results ids examined, the place reached or nothing at the end, rows (id, values of RECORD in include/record.lua)*
--
-- @include keys
-- @include time
-- @include waiting
-- @include walk
-- @include match
-- @include record

local MOST_ACTIVE = 5000 -- more than that run nowhere; each is looked at, as the index is by the end of the lease
local BODY_COST = 20 -- ids that weigh as much as one whose body has to be read

local wanted, descending = ARGV[1], ARGV[2] == '1'
local limit, budget = tonumber(ARGV[3]), tonumber(ARGV[4])
local matches = matcher(ARGV, 8)
local examined, spent, rows = 0, 0, {}

-- A stock client's job has no record until somebody takes it in; one in `waiting` has lost it.
local function without_record(id, state)
  local due_ms = redis.call('ZSCORE', K_SCHEDULE, id)
  if not due_ms then
    return nil
  end
  local due = math.min(math.abs(tonumber(due_ms)), LAST_MS)
  local priority, project = describe(id)
  spent = spent + BODY_COST
  if state == 'delayed' and due <= NOW_MS then
    state = 'waiting'
  end
  return {
    id = id, state = state, priority = priority, project = project, accepted = digits(due), attempts = '0', crashes = '0',
  }
end

local function visit(id, state)
  examined, spent = examined + 1, spent + 1
  local job = look_at(id)
  local on_record = job.state
  if not on_record and (state == 'waiting' or state == 'delayed') then
    job = without_record(id, state)
  elseif on_record ~= state then
    -- It is listed where it is now.
    job = nil
  end
  if job and (wanted == '' or job.state == wanted) and matches(job) then
    local values = on_record and values_of(id) or {}
    for i, name in ipairs(on_record and {} or RECORD) do
      values[i] = job[name] or false
    end
    rows[#rows + 1] = { id, values }
  end
  return #rows < limit and spent < budget
end

local function running()
  local found = {}
  for _, id in ipairs(redis.call('ZRANGE', K_ACTIVE, 0, MOST_ACTIVE - 1)) do
    found[#found + 1] = { id = id, token = tonumber(redis.call('HGET', P_JOB .. id, 'token') or '0') }
  end
  table.sort(found, function(one, other)
    if descending then
      return one.token > other.token
    end
    return one.token < other.token
  end)
  return found
end

-- Returns the place at which the budget ended, or nil.
local function list_running(after)
  for _, run in ipairs(running()) do
    local over = after and (descending and run.token >= after or not descending and run.token <= after)
    if not over and not visit(run.id, 'active') then
      return { '0', digits(run.token), run.id }
    end
  end
end

local SCHEDULE = { key = K_SCHEDULE, us = 1000, least = '0', most = '+inf', state = 'delayed' }
local OTHERS = {
  { key = K_HIGH, us = 1, least = '-inf', most = '+inf', state = 'waiting' },
  { key = K_NORMAL, us = 1, least = '-inf', most = '+inf', state = 'waiting' },
  { key = K_LOW, us = 1, least = '-inf', most = '+inf', state = 'waiting' },
  SCHEDULE,
  { key = K_COMPLETED, us = 1000, least = '-inf', most = '+inf', state = 'completed' },
  { key = K_CANCELLED, us = 1000, least = '-inf', most = '+inf', state = 'cancelled' },
  { key = K_DEAD, us = 1000, least = '-inf', most = '+inf', state = 'dead' },
}
if wanted == 'waiting' then
  SCHEDULE.most = digits(NOW_MS)
end

local function list_others(place)
  local sources = {}
  for _, source in ipairs(OTHERS) do
    if wanted == '' or source.state == wanted or (wanted == 'waiting' and source == SCHEDULE) then
      sources[#sources + 1] = source
    end
  end
  if #sources == 0 then
    return nil
  end
  return walk_on(sources, place, descending, function(member, source)
    return visit(member.id, source.state)
  end)
end

local part = tonumber(ARGV[5])
local place = nil
if wanted == '' or wanted == 'active' then
  if part == nil or part == 0 then
    place = list_running(part and tonumber(ARGV[6]))
  end
end
if not place then
  place = list_others(part and part > 0 and { source = part, score = ARGV[6], id = ARGV[7] } or nil)
end
return { examined, place or {}, rows }
