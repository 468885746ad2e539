-- Sets weights and maxima of projects (include/project_limits.lua).
--
-- ARGV    1 `set`: by an operator, for the named projects; `env`: PREVIEW_PROJECT_LIMITS, in place of what it was before
--         2 who   3 reason   4 the largest number of projects that may have limits
--         5.. three per project: project or *, weight, maximum of active jobs, 0 for none; each of the two is `-` to remove
--             it, and `` to keep it
-- Results code (OK, ALREADY: nothing changed, FULL: too many projects), weight and maximum or 0 that the first project has
--         now, names of those that changed
--
-- @include maxmemory
-- @include core_keys
-- @include move_aside
-- @include active
-- @include events

local MAX_ACTIVE_READ = 5000 -- no fleet runs more jobs
local MAX_RESUMED = 1000 -- maintenance resumes the others
local layer, who, reason, most = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4])

local function new_value(before, text)
  return text == '-' and '' or text ~= '' and text or before or ''
end

-- As in PREVIEW_PROJECT_LIMITS.
local function describe(value)
  local weight, max_active = string.match(value, '^(%d*):(%d*)$')
  local parts = {}
  if (weight or '') ~= '' then
    parts[1] = 'weight:' .. weight
  end
  if (max_active or '') ~= '' then
    parts[#parts + 1] = 'active:' .. (max_active == '0' and 'none' or max_active)
  end
  return parts[1] and table.concat(parts, ',') or 'none'
end

local wanted = {}
if layer == 'env' then
  local stored = call('HGETALL', K_PROJECT_LIMITS)
  for i = 1, #stored, 2 do
    if string.sub(stored[i], 1, 4) == 'env:' then
      wanted[stored[i]] = ''
    end
  end
end
for i = 5, #ARGV, 3 do
  local field = layer .. ':' .. ARGV[i]
  local before = layer == 'set' and call('HGET', K_PROJECT_LIMITS, field) or ''
  local weight, max_active = string.match(before, '^(%d*):(%d*)$')
  weight, max_active = new_value(weight, ARGV[i + 1]), new_value(max_active, ARGV[i + 2])
  wanted[field] = (weight ~= '' or max_active ~= '') and weight .. ':' .. max_active or ''
end

local fields, changed = {}, {}
for field in pairs(wanted) do
  fields[#fields + 1] = field
end
table.sort(fields)
for _, field in ipairs(fields) do
  local value, before = wanted[field], call('HGET', K_PROJECT_LIMITS, field) or ''
  if before ~= value then
    if value ~= '' and before == '' and call('HLEN', K_PROJECT_LIMITS) >= most then
      return { FULL, 0, 0 }
    end
    changed[#changed + 1] = string.sub(field, 5)
    if value == '' then
      call('HDEL', K_PROJECT_LIMITS, field)
    else
      call('HSET', K_PROJECT_LIMITS, field, value)
    end
    add_event('project-limits', 'project', string.sub(field, 5), 'limits', describe(value), 'was', describe(before),
      'who', who, 'why', reason)
  end
end
local count = call('HLEN', K_PROJECT_LIMITS)
local function reply(code)
  local limits = limits_of(ARGV[5] or '')
  return { code, limits.weight, limits.max_active or 0, unpack(changed) }
end
if #changed == 0 then
  return reply(ALREADY)
end
call('HSET', K_META, 'project_limits', count)
stored_meta[6] = format_int(count)

-- Projects that have a maximum now need the jobs that run already, and the others no longer need theirs.
for _, id in ipairs(call('ZRANGE', K_ACTIVE, 0, MAX_ACTIVE_READ - 1)) do
  local project = turn_of(call('HGET', P_JOB .. id, 'project'))
  if limits_of(project).max_active then
    call('ZADD', P_PROJECT_ACTIVE .. project, 'NX', format_int(NOW_US), id)
  else
    call('DEL', P_PROJECT_ACTIVE .. project)
  end
end
for _, project in ipairs(call('ZRANGE', K_HELD_PROJECTS, 0, MAX_RESUMED - 1)) do
  resume_project(project) -- the next claim holds those again that are still at their maximum
end
if count == 0 then
  call('HDEL', K_META, 'project_limits')
end
return reply(OK)
