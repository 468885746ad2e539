-- @include active
-- @include core_keys
-- @include counters
-- @include job_id

-- Serves high before normal before low. A lower class whose oldest job has waited longer than the ageing limit gets every
-- fourth claim: no job starves, and many old low jobs cannot hold back high ones. Within a class projects take turns
-- (include/turns.lua), first in first out within each.
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

-- What this call has found out about the turns of a class: its only project if there is one and no limits, or else false.
local only_project = {}
local OLDEST_INDEXED, OLDEST_CHECKED = 100, 5
local surplus_left = 100 -- entries without a job that this call may remove, and projects that it may hold
local wanted = 1 -- claims of this call

-- Of a class with one project: its oldest jobs, and those of them that the call has taken and not yet removed.
local oldest, taken = {}, {}

local function remove_taken()
  for priority, ids in pairs(taken) do
    redis.call('ZREM', WAITING[priority], unpack(ids))
    call('ZREM', waiting_key(priority, ids.project), unpack(ids))
    taken[priority] = nil
  end
end

local several = nil -- the functions of open_turns

local function forget_turns(priority)
  remove_taken()
  if several then
    several.store()
    several.forget(priority)
  end
  only_project[priority], oldest[priority] = nil, nil
end

-- Adds the oldest jobs to their projects where they are missing: an older build has submitted them.
local function read_turns(priority)
  local turns = call('ZRANGE', TURNS[priority], 0, 1)
  if #turns == 0 then
    -- With limits, all projects that wait may be held.
    index_range(priority, 0, (stored_meta[6] and OLDEST_CHECKED or OLDEST_INDEXED) - 1)
    turns = call('ZRANGE', TURNS[priority], 0, 1)
  elseif (#turns == 2 or stored_meta[6]) and index_range(priority, 0, 0) > 0 then
    index_range(priority, 1, OLDEST_INDEXED)
  end
  only_project[priority] = #turns == 1 and not stored_meta[6] and turns[1]
  if only_project[priority] then
    oldest[priority] = redis.call('ZRANGE', WAITING[priority], 0, wanted, 'WITHSCORES')
    oldest[priority].at = 1
  end
  return #turns > 0
end

-- Takes the oldest job of a class in which one project waits.
local function take_oldest(head, project)
  local priority = head.priority
  local ids = taken[priority] or { project = project }
  ids[#ids + 1] = head.id
  taken[priority] = ids
  head.turn_of = project
  return head
end

local function head_after(priority)
  local jobs = oldest[priority]
  if not jobs then
    remove_taken()
    return oldest_waiting(priority)
  end
  jobs.at = jobs.at + 2
  return parse_head(priority, { jobs[jobs.at], jobs[jobs.at + 1] })
end

-- What a call needs if several projects wait: made on demand, because each function of a script costs every call.
local function open_turns()
  -- Of other classes: the first projects in the order of their turns, and those of them that have moved on.
  local first_turns, moved = {}, {}

  local function store_turns()
    for priority, turns in pairs(moved) do
      call('ZADD', TURNS[priority], unpack(turns))
      moved[priority] = nil
    end
  end

  -- As Redis sorts members of one score; Lua in Redis compares texts by locale.
  local function is_before(one, other)
    for i = 1, math.min(#one, #other) do
      local difference = string.byte(one, i) - string.byte(other, i)
      if difference ~= 0 then
        return difference < 0
      end
    end
    return #one < #other
  end

  -- Moves a project on: among the first turns of this call if it is still one of them, and in Redis.
  local function move_on(priority, project, turn)
    local turns, stored = first_turns[priority], moved[priority] or {}
    stored[#stored + 1], stored[#stored + 2] = format_int(turn), project
    moved[priority] = stored
    local at = #turns
    while at > 0 and (turns[at].turn > turn or turns[at].turn == turn and is_before(project, turns[at].project)) do
      at = at - 1
    end
    if at < #turns or turns.complete then
      table.insert(turns, at + 1, { project = project, turn = turn })
    end
  end

  local function first_turn(priority)
    local turns = first_turns[priority]
    if not turns or (#turns == 0 and not turns.complete) then
      store_turns()
      local rows = call('ZRANGE', TURNS[priority], 0, wanted - 1, 'WITHSCORES')
      turns = { complete = #rows < 2 * wanted }
      for i = 1, #rows, 2 do
        turns[#turns + 1] = { project = rows[i], turn = to_int(rows[i + 1], 0) }
      end
      first_turns[priority] = turns
    end
    return table.remove(turns, 1)
  end

  -- Takes the oldest job of the project whose turn it is; nil if all that wait are held.
  local function take_in_turn(priority)
    while surplus_left > 0 do
      local first = first_turn(priority)
      if not first then
        return nil
      end
      local project = first.project
      local limits, key = limits_of(project), waiting_key(priority, project)
      local jobs = call('ZRANGE', key, 0, 1, 'WITHSCORES')
      if not jobs[1] then
        store_turns()
        leave_turns(priority, project)
      elseif limits.max_active and is_at_maximum(project, limits.max_active) then
        store_turns()
        first_turns = {}
        hold_project(project)
      else
        call('ZREM', key, jobs[1])
        local waits = redis.call('ZREM', WAITING[priority], jobs[1]) == 1
        if not jobs[3] then
          store_turns()
          leave_turns(priority, project)
        else
          move_on(priority, project, first.turn + (waits and limits.turn or 0))
        end
        if waits then
          return { id = jobs[1], priority = priority, since = to_int(jobs[2], NOW_US), turn_of = project }
        end
      end
      surplus_left = surplus_left - 1
    end
  end

  return { store = store_turns, take = take_in_turn, forget = function(priority)
    first_turns[priority] = nil
  end }
end

local function take_from(priority, head)
  for _ = 1, 2 do -- once more if the first try has removed what was left of jobs that do not wait
    local has_turns = only_project[priority] ~= nil or read_turns(priority)
    local job = nil
    if only_project[priority] then
      job = take_oldest(head, only_project[priority])
    elseif has_turns then
      several = several or open_turns()
      job = several.take(priority)
    elseif call('ZCARD', K_HELD_PROJECTS) == 0 then
      job = take_oldest(head, '') -- turns that cannot be stored hold back nothing
    end
    if job then
      return job
    end
    forget_turns(priority)
  end
end

-- Takes the next job out of the waiting lists; nil if no job may be claimed. `heads` are the oldest jobs of the classes, from
-- which it removes classes without a job that may be claimed.
local function take_next(heads, ageing_us)
  while surplus_left > 0 and next(heads) do
    local head = choose_head(heads, ageing_us)
    local priority = head.priority
    local job = take_from(priority, head)
    if not job and surplus_left > 0 then
      heads[priority] = nil
    elseif job and job.id == head.id then
      heads[priority] = head_after(priority)
      local project = not heads[priority] and only_project[priority]
      if project then
        remove_taken()
        call('DEL', waiting_key(priority, project))
        leave_turns(priority, project)
      end
    end
    if job then
      return job
    end
  end
end

-- The record of a job that may be claimed; nil if its entry in `waiting` is damaged. A record that another program
-- replaced or deleted is created again from the body.
local function read_claimable(id, head)
  local job = call('HMGET', P_JOB .. id, 'accepted', 'attempts', 'crashes', 'since', 'state', 'project')
  if job[6] and job[6] ~= head.turn_of and turn_of(job[6]) ~= head.turn_of then
    forget_turns(head.priority)
    unindex_waiting(id, head.priority, job[6])
    index_range(head.priority, 0, OLDEST_INDEXED - 1)
  end
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
-- Ten elements each: id, body or false, token, accepted ms, attempts, crashes, wait ms, priority, 1 if ahead or else 0, and
-- the project as which it takes turns.
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
  wanted = max_claims + max_ahead
  local n = #reply
  local ahead_end = nil
  for i = 0, max_claims + max_ahead - 1 do
    if i == max_claims then
      remove_taken()
      ahead_end = max_claims + math.floor(waiting_count() / 2)
    end
    if ahead_end and i >= ahead_end then
      break
    end
    local head = take_next(heads, ageing_ms * 1000)
    if head == nil then
      break
    end
    local id, record = head.id, P_JOB .. head.id
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
      enter_active(id, head.turn_of)
      redis.call('SET', P_ARQ_IN_PROGRESS .. id, token, 'PX', lease_ms)
      observe('w', wait_ms, head.priority)
      reply[n + 1], reply[n + 2], reply[n + 3] = id, get_string(P_ARQ_JOB .. id), token
      reply[n + 4], reply[n + 5], reply[n + 6] = format_int(job[1]), to_int(job[2], 0), to_int(job[3], 0)
      reply[n + 7], reply[n + 8], reply[n + 9], reply[n + 10] = wait, head.priority, ahead and 1 or 0, head.turn_of
      n = n + 10
    end
  end
  remove_taken()
  if several then
    several.store()
  end
  if next(heads) ~= nil then
    wake_worker()
  end
end
