-- @include admit_now

-- The server ms at which a job may start: '' for nil, a number in ms, or a number of ms from now with a leading +.
local function parse_due(text)
  local due = text or ''
  local delay_ms = string.match(due, '^%+(%d+)$')
  return delay_ms and NOW_MS + tonumber(delay_ms) or tonumber(due)
end

-- Delays a waiting job until `due_ms`, in server ms. Its caller wakes a worker, which may sleep for longer.
local function delay_waiting(id, class, due_ms)
  remove_waiting(id, class, call('HGET', P_JOB .. id, 'project'))
  call('ZADD', K_SCHEDULE, format_int(due_ms), id)
  call('HSET', P_JOB .. id, 'state', 'delayed')
end

-- Gives a job of a stock arq client that no worker has admitted its record; it keeps its due time. Returns its state, or
-- nil if the queue has no such job.
local function admit_early(id)
  local state, due_ms = admit_now(id)
  if state == 'delayed' then
    delay_waiting(id, class_of(call('HGET', P_JOB .. id, 'priority')), due_ms)
  end
  return state
end
