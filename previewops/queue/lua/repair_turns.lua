-- Compares what claims derive from the waiting jobs of a project (include/turns.lua) with these, and repairs it on request.
--
-- ARGV    1 1 to repair, 0 to compare   2 priority   3 project   4.. ids to compare
-- Results number of ids that differ, the first of them or '', 1 if the project's turn is wrong or else 0
--
-- @include core_keys
-- @include move_aside
-- @include waiting

move_aside = ARGV[1] == '1' and move_aside or nil -- comparing changes nothing
local repairs, priority, project = ARGV[1] == '1', ARGV[2], ARGV[3]
local key, turns = waiting_key(priority, project), TURNS[priority]
local count, first = 0, ''
for i = 4, #ARGV do
  local id = ARGV[i]
  local score, indexed = call('ZSCORE', WAITING[priority], id), call('ZSCORE', key, id)
  local expected = score and turn_of(call('HGET', P_JOB .. id, 'project')) == project and score
  if expected ~= indexed then
    count, first = count + 1, first == '' and id or first
    if repairs and expected then
      call('ZADD', key, expected, id)
    elseif repairs then
      call('ZREM', key, id)
    end
  end
end

local function turn_is_wrong()
  local own, held = call('ZSCORE', turns, project), call('ZSCORE', K_HELD_PROJECTS, project)
  if own then
    local now = to_int(call('ZRANGE', turns, 0, 0, 'WITHSCORES')[2], 0)
    return call('EXISTS', key) == 0 or held or not to_int(own) or to_int(own) > now + FULL_TURN
  end
  return call('EXISTS', key) == 1 and not held
end
local wrong = turn_is_wrong()
if wrong and repairs then
  leave_turns(priority, project)
  if call('EXISTS', key) == 1 then
    enter_turns(priority, project)
  end
end
return { count, first, wrong and 1 or 0 }
