-- Changes the priority of a pending job that does not run, or lets a delayed one run now.
--
-- ARGV    1 id   2 priority, or '' for the same   3 1 to let it run now, or else 0   4 who   5 reason
-- Results code (OK, NOT_FOUND, WRONG_STATE), state before
-- Transitions delayed -> waiting, delayed -> delayed
--
-- @include maxmemory
-- @include core_keys
-- @include move_aside
-- @include admit

local id, priority, now, who, reason = ARGV[1], ARGV[2], ARGV[3] == '1', ARGV[4], ARGV[5]

-- A job that a stock arq client has enqueued gets its record, and keeps its due time.
local function admit_early(due_ms)
  admit_foreign(id, math.min(due_ms, NOW_MS))
  if due_ms <= NOW_MS then
    return 'waiting'
  end
  local class = class_of(call('HGET', P_JOB .. id, 'priority'))
  call('ZREM', WAITING[class], id)
  call('ZADD', K_SCHEDULE, format_int(due_ms), id)
  call('HSET', P_JOB .. id, 'state', 'delayed')
  return 'delayed'
end

local job = call('HMGET', P_JOB .. id, 'state', 'priority')
local state = job[1]
if not state then
  local due_ms = call('ZSCORE', K_SCHEDULE, id)
  if not due_ms then
    return { NOT_FOUND, '' }
  end
  state = admit_early(math.abs(tonumber(due_ms)))
  job[2] = call('HGET', P_JOB .. id, 'priority')
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
  local order = call('ZSCORE', WAITING[before], id)
  call('ZREM', WAITING[before], id)
  call('ZADD', WAITING[class], order or format_int(next_sequence(1)), id)
elseif state == 'delayed' and now then
  local order = next_sequence(1)
  call('HSET', P_JOB .. id, 'state', 'waiting', 'order', format_int(order))
  add_waiting(id, class, order, NOW_MS)
end
if call('HEXISTS', K_META, 'paused') == 0 then
  wake_worker()
end
add_event('rescheduled', 'job', id, 'priority', class, 'now', now and '1' or '0', 'who', who, 'why', reason)
flush_counters()
return { OK, state }
