-- Gives a dead letter a new life: attempts and crashes start from nought, their history stays.
local function revive(id, fingerprint, class)
  local order = next_sequence(1)
  unbury(id, fingerprint)
  redis.call('HDEL', P_JOB .. id, 'finished', 'cause', 'class', 'code', 'reason', 'fingerprint', 'token')
  redis.call('HSET', P_JOB .. id, 'state', 'waiting', 'priority', class, 'order', digits(order), 'attempts', 0,
    'crashes', 0)
  redis.call('HINCRBY', P_JOB .. id, 'requeues', 1)
  put_waiting(id, class, order, NOW_MS)
end
