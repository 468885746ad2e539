-- Lists jobs by time, from a cursor and within a budget: running jobs first, by claim, then all others merged by time.
-- Includes jobs of stock arq clients that no worker has admitted.
--
-- ARGV    1 state, '' for all   2 1 for newest first, 0 for oldest first   3 maximum rows   4 maximum ids to examine
--         5 to 7 cursor of an earlier call, '' for the start (include/merge_scan.lua; 0 and the token within the
--         running jobs)   8 the projects among which it searches as JSON, or ''   9.. the filter (include/filter_match.lua)
-- Results ids examined, cursor or nothing at the end, rows (id, values of RECORD_FIELDS in include/record.lua)*,
--         unreadable keys (include/keys.lua)
--
-- @include layout
-- @include waiting
-- @include merge_scan
-- @include filter_match
-- @include record
-- @include visible_projects

-- All running jobs are read, because their index is by lease expiry; no fleet runs more than this.
local MAX_ACTIVE = 5000
local BODY_COST = 20 -- budget for an id whose body has to be read

local wanted, descending = ARGV[1], ARGV[2] == '1'
local limit, budget = tonumber(ARGV[3]), tonumber(ARGV[4])
local is_visible, matches = project_matcher(ARGV[8]), filter_matcher(ARGV, 9)
local examined, spent, rows = 0, 0, {}

-- A job of a stock arq client has no record until a worker admits it; a job in `waiting` without one has lost it.
local function describe_unadmitted(id, state)
  local due_ms = call('ZSCORE', K_SCHEDULE, id)
  if not due_ms then
    return nil
  end
  local due = math.min(math.abs(tonumber(due_ms)), LAST_MS)
  local priority, project = read_priority_and_project(id)
  spent = spent + BODY_COST
  if state == 'delayed' and due <= NOW_MS then
    state = 'waiting'
  end
  return {
    id = id, state = state, priority = priority, project = project, accepted = format_int(due), attempts = '0',
    crashes = '0', due = state == 'delayed' and format_int(due),
  }
end

local function visit(id, state)
  examined, spent = examined + 1, spent + 1
  local job = read_filter_fields(id)
  local on_record = job.state
  if not on_record and (state == 'waiting' or state == 'delayed') then
    job = describe_unadmitted(id, state)
  elseif on_record ~= state then
    -- It is listed under its new state, if its record is not damaged.
    job = nil
  end
  if not job and not STATES[on_record] then
    note_unreadable(P_JOB .. id)
  end
  if job and (wanted == '' or job.state == wanted) and is_visible(job.project) and matches(job) then
    local values = on_record and read_record_values(id) or {}
    for i, name in ipairs(on_record and {} or RECORD_FIELDS) do
      values[i] = job[name] or false
    end
    rows[#rows + 1] = { id, values }
  end
  return #rows < limit and spent < budget
end

local function running_jobs()
  local jobs = {}
  for _, id in ipairs(call('ZRANGE', K_ACTIVE, 0, MAX_ACTIVE - 1)) do
    jobs[#jobs + 1] = { id = id, token = to_int(call('HGET', P_JOB .. id, 'token'), 0) }
  end
  table.sort(jobs, function(one, other)
    if descending then
      return one.token > other.token
    end
    return one.token < other.token
  end)
  return jobs
end

-- Returns the cursor at which the budget ended, or nil.
local function list_running(after)
  for _, job in ipairs(running_jobs()) do
    local seen = after and (descending and job.token >= after or not descending and job.token <= after)
    if not seen and not visit(job.id, 'active') then
      return { '0', format_int(job.token), job.id }
    end
  end
end

local SCHEDULE = { key = K_SCHEDULE, us = 1000, min = '0', max = '+inf', state = 'delayed' }
local OTHERS = {
  { key = K_HIGH, us = 1, min = '-inf', max = '+inf', state = 'waiting' },
  { key = K_NORMAL, us = 1, min = '-inf', max = '+inf', state = 'waiting' },
  { key = K_LOW, us = 1, min = '-inf', max = '+inf', state = 'waiting' },
  SCHEDULE,
  { key = K_COMPLETED, us = 1000, min = '-inf', max = '+inf', state = 'completed' },
  { key = K_CANCELLED, us = 1000, min = '-inf', max = '+inf', state = 'cancelled' },
  { key = K_DEAD, us = 1000, min = '-inf', max = '+inf', state = 'dead' },
}
if wanted == 'waiting' then
  SCHEDULE.max = format_int(NOW_MS)
end

local function list_others(cursor)
  local sources = {}
  for _, source in ipairs(OTHERS) do
    if wanted == '' or source.state == wanted or (wanted == 'waiting' and source == SCHEDULE) then
      sources[#sources + 1] = source
    end
  end
  if #sources == 0 or (cursor and cursor.source > #sources) then
    return nil -- a cursor of another listing
  end
  return merge_scan(sources, cursor, descending, function(member, source)
    return visit(member.id, source.state)
  end)
end

local source = tonumber(ARGV[5])
local cursor = nil
if wanted == '' or wanted == 'active' then
  if source == nil or source == 0 then
    cursor = list_running(source and tonumber(ARGV[6]))
  end
end
if not cursor then
  cursor = list_others(source and source > 0 and { source = source, score = ARGV[6], id = ARGV[7] } or nil)
end
return { examined, cursor or {}, rows, unreadable_reply() }
