-- A lease whose holder is gone: the job counts a crash and runs again, or is poison and dies.
local function recover(id, max_crashes, why, fingerprint)
  local job = redis.call('HMGET', P_JOB .. id, 'priority', 'order', 'worker', 'claimed')
  if not job[1] then
    new_record(id, 'active', 'normal', '', NOW_MS)
    job = { 'normal', digits(NOW_US), false, false }
  end
  local worker, claimed = job[3] or '', tonumber(job[4] or NOW_MS)
  local crashes = redis.call('HINCRBY', P_JOB .. id, 'crashes', 1)
  redis.call('RPUSH', P_ATTEMPTS .. id, cjson.encode({
    at = claimed, durationMs = NOW_MS - claimed, worker = worker, kind = 'crash', class = 'WorkerLost',
    code = 'worker-lost', message = why,
  }))
  take_away(id)
  count('crashed')
  total('failed', job[1], 'worker-lost')
  if crashes >= max_crashes then
    bury(id, 'crashes', 'WorkerLost', 'worker-lost', why, fingerprint)
  else
    total('retried', job[1], 'worker-lost')
    put_back(id, job[1], job[2])
    event('recovered', 'job', id, 'worker', worker, 'message', why)
  end
end
