-- @include waiting

-- Active jobs of projects with a maximum, in a sorted set for each by the time of the claim or of the last check. A project
-- at its maximum is held: it takes no turns until one of its jobs has stopped running. Every transition out of active calls
-- leave_active. Entries that an older build left behind are found by the checks of projects that are at their maximum.
local CHECKED_AT_MAXIMUM = 2

local function enter_active(id, project)
  if limits_of(project).max_active then
    call('ZADD', P_PROJECT_ACTIVE .. project, format_int(NOW_US), id)
  end
end

local function runs_in(id, project)
  local job = call('HMGET', P_JOB .. id, 'state', 'project')
  return job[1] == 'active' and turn_of(job[2]) == project
end

-- Whether a project has as many active jobs as it may. Checks some of them, the longest unchecked first.
local function is_at_maximum(project, max_active)
  local key = P_PROJECT_ACTIVE .. project
  local active = call('ZCARD', key)
  if active < max_active then
    return false
  end
  for _, id in ipairs(call('ZRANGE', key, 0, CHECKED_AT_MAXIMUM - 1)) do
    if runs_in(id, project) then
      call('ZADD', key, format_int(NOW_US), id)
    else
      active = active - call('ZREM', key, id)
    end
  end
  return active >= max_active
end

local function hold_project(project)
  call('ZADD', K_HELD_PROJECTS, format_int(NOW_MS), project)
  for priority in pairs(TURNS) do
    leave_turns(priority, project)
  end
end

-- Lets a held project take turns again.
local function resume_project(project)
  if call('ZREM', K_HELD_PROJECTS, project) == 0 then
    return
  end
  local waits = false
  for priority in pairs(TURNS) do
    if call('EXISTS', waiting_key(priority, project)) == 1 then
      enter_turns(priority, project)
      waits = true
    end
  end
  if waits then
    wake_worker()
  end
end

local function leave_active(id, project)
  if stored_meta[6] then -- there are limits
    project = turn_of(project)
    if call('ZREM', P_PROJECT_ACTIVE .. project, id) == 1 then
      resume_project(project)
    end
  end
end
