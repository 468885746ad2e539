-- @include accept_again
-- @include batches
-- @include body
-- @include delay
-- @include events
-- @include lease
-- @include requeue_dead_letter

-- Replaces the payload of a job in any state, and lets it run again from its beginning.

-- The token of a running attempt is void at once: it stops at its worker's next heartbeat.
local function move_to_waiting(id, state, before, class, project)
  local order = state == 'waiting' and to_int(call('ZSCORE', WAITING[before], id)) or next_sequence(1)
  revoke_lease(id)
  remove_waiting(id, before, project)
  call('HSET', P_JOB .. id, 'state', 'waiting', 'order', format_int(order))
  add_waiting(id, class, project, order, math.floor(order / 1000))
end

-- `due_ms`: nil lets a delayed job that has not been attempted keep its due time, and every other job wait for a worker.
local function replace_job(id, state, class, project, digest, payload, func, due_ms, who)
  local job = call('HMGET', P_JOB .. id, 'priority', 'digest', 'fingerprint', 'attempts', 'crashes')
  if state == 'delayed' and not due_ms and to_int(job[4], 0) + to_int(job[5], 0) == 0 then
    due_ms = tonumber(call('ZSCORE', K_SCHEDULE, id))
  end
  if state == 'dead' then
    requeue_dead_letter(id, job[3], class)
    count('requeued')
  elseif state == 'completed' or state == 'cancelled' then
    accept_again(id, state, class, project)
  else
    move_to_waiting(id, state, class_of(job[1]), class, project)
  end
  store_body(id, func, payload)
  start_over(id)
  call('HSET', P_JOB .. id, 'priority', class, 'digest', digest)
  add_event('replaced', 'job', id, 'was', state, 'digestBefore', job[2] or '', 'digestAfter', digest, 'who', who)
  if due_ms and due_ms > NOW_MS then
    delay_waiting(id, class, due_ms)
    return 'delayed'
  end
  return 'waiting'
end
