-- @include dead_letters
-- @include quota
-- @include waiting

-- Requeues a dead letter: attempts and crashes restart at 0, the attempt history stays.
local function requeue_dead_letter(id, fingerprint, class)
  local order, project = next_sequence(1), call('HGET', P_JOB .. id, 'project') or ''
  remove_from_dead_letters(id, fingerprint)
  call('HDEL', P_JOB .. id, 'finished', 'cause', 'class', 'code', 'reason', 'fingerprint', 'token',
    'uncounted')
  call('HSET', P_JOB .. id, 'state', 'waiting', 'priority', class, 'order', format_int(order), 'attempts', 0,
    'crashes', 0)
  call('HINCRBY', P_JOB .. id, 'requeues', 1)
  add_waiting(id, class, project, order, NOW_MS)
  add_to_quota(id, project)
  move_in_batch(call('HGET', P_JOB .. id, 'batch'), 'dead', 'waiting')
end
