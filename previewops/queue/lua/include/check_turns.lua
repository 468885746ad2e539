-- @include active

-- Checks what claims derive from waiting jobs, in bounded steps of maintenance: it finds what no claim comes across.
local JOBS_PER_STEP, PROJECTS_PER_STEP = 200, 20

-- Adds missing jobs to their projects, from where the last step ended.
local function check_waiting_jobs()
  local total = waiting_count()
  local start = total > JOBS_PER_STEP and to_int(call('HGET', K_META, 'turns_checked'), 0) or 0
  start = start < total and start or 0
  local before, left = 0, JOBS_PER_STEP
  for _, priority in ipairs({ 'high', 'normal', 'low' }) do
    local length = call('ZCARD', WAITING[priority])
    local from = math.max(0, start - before)
    if left > 0 and from < length then
      index_range(priority, from, from + left - 1)
      left = left - math.min(left, length - from)
    end
    before = before + length
  end
  if total > JOBS_PER_STEP then -- not in a short queue: each write goes to the append-only file
    call('HSET', K_META, 'turns_checked', format_int(start + JOBS_PER_STEP))
  end
end

-- Without waiting jobs in a priority, no claim would remove what is left in it.
local function remove_surplus_turns()
  for priority, turns in pairs(TURNS) do
    local surplus = call('ZCARD', WAITING[priority]) == 0 and call('ZRANGE', turns, 0, PROJECTS_PER_STEP - 1) or {}
    for _, project in ipairs(surplus) do
      call('DEL', waiting_key(priority, project))
      leave_turns(priority, project)
    end
  end
end

-- Held projects whose jobs have ended in an older build, which resumes no project.
local function check_held_projects()
  for _, project in ipairs(call('ZRANGE', K_HELD_PROJECTS, 0, PROJECTS_PER_STEP - 1)) do
    local max_active = limits_of(project).max_active
    if max_active and is_at_maximum(project, max_active) then
      call('ZADD', K_HELD_PROJECTS, format_int(NOW_MS), project)
    else
      resume_project(project)
    end
  end
end

local function check_turns()
  local limits = call('HLEN', K_PROJECT_LIMITS)
  if limits == 0 and stored_meta[6] then
    call('HDEL', K_META, 'project_limits')
  elseif limits > 0 and stored_meta[6] ~= format_int(limits) then
    call('HSET', K_META, 'project_limits', limits)
  end
  check_waiting_jobs()
  remove_surplus_turns()
  check_held_projects()
end
