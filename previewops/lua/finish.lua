-- Completes a batch of jobs and claims the next ones, in one round trip.
--
-- KEYS    1 the queue; all others by name (include/keys.lua)
-- ARGV    1 worker id   2 lease in ms   3 ageing bound in ms   4 want (next claims)
--         5 records of completed jobs to keep   6 their age limit in ms   7 number of jobs n
--         then four per job: id, token, result as JSON, run time in ms
-- Results server now in ms, n codes (OK, ALREADY or STALE), then eight per claim (include/claim.lua)
--
-- @include keys
-- @include time
-- @include counters
-- @include waiting
-- @include admit
-- @include claim
-- @include lease
-- @include result

local keep, ttl_ms, n = tonumber(ARGV[5]), ARGV[6], tonumber(ARGV[7])
local reply = { digits(NOW_MS) }
local done = 0

local function forget_oldest()
  -- Two for each one that came keeps pace and works off an excess after the limit was lowered.
  local gone = redis.call('ZPOPMIN', K_COMPLETED, 2)
  for i = 1, #gone, 2 do
    redis.call('DEL', P_JOB .. gone[i], P_ATTEMPTS .. gone[i], P_ARQ_RESULT .. gone[i])
  end
end

local function complete(id, token, result_json, run_ms)
  local job = redis.call('HMGET', P_JOB .. id, 'attempts', 'crashes', 'claimed', 'accepted')
  local body = redis.call('GET', P_ARQ_JOB .. id)
  end_lease(id, token)
  redis.call('HSET', P_JOB .. id, 'state', 'completed', 'finished', digits(NOW_MS))
  redis.call('PEXPIRE', P_JOB .. id, ttl_ms)
  redis.call('SET', P_ARQ_RESULT .. id, arq_result(id, body, true, result_json,
    tonumber(job[1]) + tonumber(job[2]) + 1, tonumber(job[3]), tonumber(job[4])), 'PX', ttl_ms)
  redis.call('DEL', P_ARQ_JOB .. id)
  redis.call('ZREM', K_SCHEDULE, id)
  redis.call('ZADD', K_COMPLETED, digits(NOW_MS), id)
  if tonumber(job[1]) + tonumber(job[2]) > 0 then
    redis.call('PEXPIRE', P_ATTEMPTS .. id, ttl_ms)
  end
  observe('r', run_ms)
  redis.call('PUBLISH', P_DONE .. id, 'completed')
end

for i = 1, n do
  local at = 8 + (i - 1) * 4
  local id, token = ARGV[at], ARGV[at + 1]
  local code = held(id, token)
  if code == OK then
    complete(id, token, ARGV[at + 2], tonumber(ARGV[at + 3]))
    done = done + 1
  end
  reply[1 + i] = code
end

if done > 0 then
  count('completed', done)
  if redis.call('ZCARD', K_COMPLETED) > keep then
    for _ = 1, done do
      if redis.call('ZCARD', K_COMPLETED) > keep then
        forget_oldest()
      end
    end
  end
end
claim(reply, ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4]))
return reply
