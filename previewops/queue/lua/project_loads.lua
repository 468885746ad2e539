-- Reads what projects wait for and run, and their limits: of those that wait, run jobs, are held or have limits.
--
-- ARGV    1 maximum projects from each of these   2 the projects that are read as JSON, or '' for all
-- Results server now in ms, projects that wait at least, weight and maximum or 0 of projects without limits, then seven per project: project, waiting, active, weight,
--         maximum or 0, 1 if held or else 0, admission of the oldest waiting job in µs or ''; then the unreadable keys
--         (include/keys.lua)
--
-- @include layout
-- @include time
-- @include turns
-- @include visible_projects

local MAX_ACTIVE_READ = 5000 -- no fleet runs more jobs
local limit, is_visible = tonumber(ARGV[1]), project_matcher(ARGV[2])
local loads, most_waiting = {}, 0

local function load_of(project)
  if not loads[project] then
    loads[project] = { waiting = 0, active = 0 }
  end
  return loads[project]
end

local function add_waiting_jobs(priority, project)
  local load, key = load_of(project), waiting_key(priority, project)
  load.waiting = load.waiting + call('ZCARD', key)
  local oldest = to_int(call('ZRANGE', key, 0, 0, 'WITHSCORES')[2])
  if oldest and (not load.oldest or oldest < load.oldest) then
    load.oldest = oldest
  end
end

local held = call('ZRANGE', K_HELD_PROJECTS, 0, limit - 1)
for priority, turns in pairs(TURNS) do
  most_waiting = math.max(most_waiting, call('ZCARD', turns) + call('ZCARD', K_HELD_PROJECTS))
  for _, project in ipairs(call('ZRANGE', turns, 0, limit - 1)) do
    if is_visible(project) then
      add_waiting_jobs(priority, project)
    end
  end
  for _, project in ipairs(held) do
    if is_visible(project) then
      add_waiting_jobs(priority, project)
      load_of(project).held = true
    end
  end
end
for _, id in ipairs(call('ZRANGE', K_ACTIVE, 0, MAX_ACTIVE_READ - 1)) do
  local job = call('HMGET', P_JOB .. id, 'state', 'project')
  local project = turn_of(job[2])
  if job[1] == 'active' and is_visible(project) then
    load_of(project).active = load_of(project).active + 1
  end
end
local fields = stored_meta[6] and call('HLEN', K_PROJECT_LIMITS) <= limit and call('HGETALL', K_PROJECT_LIMITS) or {}
for i = 1, #fields, 2 do
  local project = string.sub(fields[i], 5)
  if project ~= '*' and is_visible(project) then
    load_of(project)
  end
end

local others = limits_of('*')
local reply = { format_int(NOW_MS), most_waiting, others.weight, others.max_active or 0 }
for project, load in pairs(loads) do
  local limits = limits_of(project)
  local n = #reply
  reply[n + 1], reply[n + 2], reply[n + 3], reply[n + 4] = project, load.waiting, load.active, limits.weight
  reply[n + 5], reply[n + 6] = limits.max_active or 0, load.held and load.waiting > 0 and 1 or 0
  reply[n + 7] = load.oldest and format_int(load.oldest) or ''
end
reply[#reply + 1] = unreadable_reply()
return reply
