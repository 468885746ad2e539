-- Completes a batch of jobs and claims the next ones, in one round trip.
--
-- KEYS    1 the queue; all others by name (include/keys.lua)
-- ARGV    1 worker id   2 lease in ms   3 ageing bound in ms   4 want (next claims)
--         5 records of completed jobs to keep   6 their age limit in ms   7 number of jobs n
--         then five per job: id, token, result as JSON, run time in ms, 1 for a dry run or else 0
-- Results server now in ms, n codes (OK, ALREADY or STALE), then eight per claim (include/claim.lua)
--
-- @include keys
-- @include room
-- @include time
-- @include counters
-- @include waiting
-- @include claim
-- @include result

local keep, ttl_ms, n = tonumber(ARGV[5]), ARGV[6], tonumber(ARGV[7])
local reply = { digits(NOW_MS) }
local done = 0

-- At most two for each one that came: keeps pace, and works off an excess after the limit was lowered.
local function forget(surplus)
  if surplus > 0 then
    local gone = redis.call('ZPOPMIN', K_COMPLETED, surplus)
    for i = 1, #gone, 2 do
      redis.call('DEL', P_JOB .. gone[i], P_ATTEMPTS .. gone[i], P_ARQ_RESULT .. gone[i])
    end
  end
end

-- The record is read and written once: this is the hottest path there is.
local function complete(id, token, result_json, run_ms, dry)
  local job = redis.call('HMGET', P_JOB .. id, 'state', 'token', 'attempts', 'crashes', 'claimed', 'accepted',
    'priority')
  if job[2] ~= token then
    return STALE
  elseif job[1] ~= 'active' then
    return ALREADY
  end
  local failed = tonumber(job[3]) + tonumber(job[4])
  local result = arq_result(id, text_at(P_ARQ_JOB .. id), true, result_json, failed + 1, job[5], job[6])
  redis.call('ZREM', K_ACTIVE, id)
  redis.call('DEL', P_ARQ_IN_PROGRESS .. id, P_ARQ_JOB .. id)
  redis.call('HSET', P_JOB .. id, 'state', 'completed', 'finished', NOW_MS)
  redis.call('SET', P_ARQ_RESULT .. id, result, 'PX', ttl_ms)
  redis.call('ZREM', K_SCHEDULE, id)
  redis.call('ZADD', K_COMPLETED, NOW_MS, id)
  observe('r', run_ms, job[7])
  if dry == '1' then
    total('dryrun', job[7])
  end
  redis.call('PUBLISH', P_DONE .. id, 'completed')
  done = done + 1
  return OK
end

for i = 1, n do
  local at = 8 + (i - 1) * 5
  reply[1 + i] = complete(ARGV[at], ARGV[at + 1], ARGV[at + 2], tonumber(ARGV[at + 3]), ARGV[at + 4])
end

if done > 0 then
  count('completed', done)
  forget(math.min(redis.call('ZCARD', K_COMPLETED) - keep, done * 2))
end
claim(reply, ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4]))
write_tally()
return reply
