-- Changes the priority of a pending job that does not run, lets a delayed one run now, or delays one.
--
-- ARGV    1 id   2 priority, or '' for the same   3 '' for the same time, or the earliest start (include/delay.lua); one
--         that has passed lets it run now   4 who   5 reason   6.. the projects whose jobs may be rescheduled; none: all
-- Results code (OK, NOT_FOUND, WRONG_STATE), state before
-- Transitions delayed -> waiting, delayed -> delayed, waiting -> delayed
--
-- @include maxmemory
-- @include core_keys
-- @include move_aside
-- @include delay
-- @include named_projects

local id, priority, due_ms, who, reason = ARGV[1], ARGV[2], parse_due(ARGV[3]), ARGV[4], ARGV[5]
local now = due_ms and due_ms <= NOW_MS

local job = call('HMGET', P_JOB .. id, 'state', 'priority', 'project')
local state = job[1]
if not is_named_project(id, state, job[3], 6) then
  return { NOT_FOUND, '' }
end
if not state then
  state = admit_early(id)
  if not state then
    return { NOT_FOUND, '' }
  end
  job = call('HMGET', P_JOB .. id, 'state', 'priority', 'project')
end
if state ~= 'waiting' and state ~= 'delayed' then
  flush_counters()
  return { WRONG_STATE, state }
end

local before = class_of(job[2])
local class = priority == '' and before or priority
if class ~= job[2] then
  call('HSET', P_JOB .. id, 'priority', class)
end
if state == 'waiting' and class ~= before then
  local order = to_int(call('ZSCORE', WAITING[before], id)) or next_sequence(1)
  remove_waiting(id, before, job[3])
  add_waiting(id, class, job[3], order, math.floor(order / 1000))
elseif state == 'delayed' and now then
  local order = next_sequence(1)
  call('HSET', P_JOB .. id, 'state', 'waiting', 'order', format_int(order))
  add_waiting(id, class, job[3], order, NOW_MS)
end
if due_ms and not now then
  delay_waiting(id, class, due_ms)
end
if call('HEXISTS', K_META, 'paused') == 0 then
  wake_worker()
end
add_event('rescheduled', 'job', id, 'priority', class, 'now', now and '1' or '0', 'dueMs',
  due_ms and not now and format_int(due_ms) or '', 'who', who, 'why', reason)
flush_counters()
return { OK, state }
