-- Compares the listed active jobs of a project with those that run (include/active.lua), whether it is held rightly, and the
-- number of limits that the meta hash has; repairs them on request.
--
-- ARGV    1 1 to repair, 0 to compare   2 project   3.. ids to compare
-- Results number of ids that differ, the first of them or '', 1 if the project is held wrongly or else 0, 1 if the number of
--         limits is wrong or else 0
--
-- @include core_keys
-- @include move_aside
-- @include active

move_aside = ARGV[1] == '1' and move_aside or nil -- comparing changes nothing
local repairs, project = ARGV[1] == '1', ARGV[2]
local limits = call('HLEN', K_PROJECT_LIMITS)
local is_miscounted = (stored_meta[6] or '0') ~= format_int(limits)
if is_miscounted and repairs then
  call('HSET', K_META, 'project_limits', limits)
end
stored_meta[6] = limits > 0 and format_int(limits)

local max_active, key = limits_of(project).max_active, P_PROJECT_ACTIVE .. project
local count, first = 0, ''
for i = 3, #ARGV do
  local id = ARGV[i]
  local expected = max_active and call('ZSCORE', K_ACTIVE, id) and runs_in(id, project)
  if (expected and true or false) ~= (call('ZSCORE', key, id) and true or false) then
    count, first = count + 1, first == '' and id or first
    if repairs and expected then
      call('ZADD', key, format_int(NOW_US), id)
    elseif repairs then
      call('ZREM', key, id)
    end
  end
end
local wrong = call('ZSCORE', K_HELD_PROJECTS, project) and not (max_active and call('ZCARD', key) >= max_active)
if wrong and repairs then
  resume_project(project)
end
return { count, first, wrong and 1 or 0, is_miscounted and 1 or 0 }
