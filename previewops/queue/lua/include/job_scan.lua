-- @include layout
-- @include waiting
-- @include merge_scan
-- @include filter_match
-- @include payload_fields
-- @include record

-- Examines jobs by time, from a cursor of an earlier call and within a budget. Includes jobs of stock arq clients that no
-- worker has admitted. Running jobs are a part of their own, by claim; all others are merged by time.

-- All running jobs are read, because their index is by lease expiry; no fleet runs more than this.
local MAX_ACTIVE = 5000
local BODY_COST = 20 -- budget for an id whose body has to be decoded
local BYTES_A_JOB = 1024 -- bytes of a payload that are searched in the time in which a job is examined

local examined, spent = 0, 0

-- A set of states from their names, separated by commas; nil for '', which is all states.
local function parse_states(text)
  local states = nil
  for name in string.gmatch(text, '%l+') do
    states = states or {}
    states[name] = true
  end
  return states
end

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

-- The fields of a job that the index of `state` names, and whether they are from its record; nil if it is elsewhere now.
-- `payload_texts` as filter_matcher returns it.
local function examine(id, state, payload_texts)
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
  if job and payload_texts then
    spent = spent + 1 + math.floor(add_payload_fields(job, payload_texts) / BYTES_A_JOB)
  end
  return job, on_record
end

local function running_jobs(descending)
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

-- Returns the cursor at which visit(id, 'active') returned false, or nil. `after` is a token, nil for the start.
local function scan_running(descending, after, visit)
  for _, job in ipairs(running_jobs(descending)) do
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

-- Returns as scan_running does. `wanted` is a set of states, or nil.
local function scan_others(wanted, descending, cursor, visit)
  local sources = {}
  if wanted and not wanted.delayed then
    SCHEDULE.max = format_int(NOW_MS)
  end
  for _, source in ipairs(OTHERS) do
    if not wanted or wanted[source.state] or (wanted.waiting and source == SCHEDULE) then
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

-- Scans both parts, in the order that `running_first` names, from the cursor in args[at] and the two after it ('' for the
-- start): 0 and the token within the running jobs, else as include/merge_scan.lua. Returns the cursor, or nil at the end.
local function scan_jobs(wanted, descending, running_first, args, at, visit)
  local source = tonumber(args[at])
  local with_running = not wanted or wanted.active
  local function running()
    return with_running and scan_running(descending, source == 0 and tonumber(args[at + 1]) or nil, visit) or nil
  end
  local function others()
    local cursor = source and source > 0 and { source = source, score = args[at + 1], id = args[at + 2] } or nil
    return scan_others(wanted, descending, cursor, visit)
  end
  if running_first then
    return (source == nil or source == 0) and running() or others()
  end
  return source ~= 0 and others() or running()
end
