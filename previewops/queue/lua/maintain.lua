-- Bounded maintenance step that every worker runs with its heartbeat: recovers expired leases, admits due jobs, deletes
-- aged records and silent workers, merges closed 10 s buckets into 1 min buckets.
--
-- ARGV    1 maximum crashes   2 fingerprint of a lost worker   3 age limit of finished records in ms
--         4 silence in ms after which a worker is removed   5 lease in ms
-- Results recovered, admitted, ms until the next delayed job is due or -1, ms until the next lease expires or -1
-- Transitions active -> waiting, active -> dead, delayed -> waiting,
--             completed -> deleted, cancelled -> deleted
--
-- @include maxmemory
-- @include core_keys
-- @include move_aside
-- @include admit
-- @include recover_job

local STEP = 100
local ADMIT_STEP = 500 -- finish.lua admits nothing: on a busy worker all due jobs are admitted here
local MINUTE_TTL = 48 * 3600 + 120
local MINUTES_BEHIND = 65 * 6

local lease_ms = tonumber(ARGV[5])
local last_run_ms = to_int(call('HGET', K_META, 'upkept'), NOW_MS)
call('HSET', K_META, 'upkept', NOW_MS)
local expired = call('ZRANGEBYSCORE', K_ACTIVE, '-inf', NOW_MS, 'LIMIT', 0, STEP)
if NOW_MS - last_run_ms > lease_ms then
  -- No worker ran this for a lease or longer: Redis was unavailable, or all workers at once. Leases that expired since
  -- then get one more period, so that live workers can renew them and no job counts a crash without a cause.
  for _, id in ipairs(expired) do
    call('ZADD', K_ACTIVE, NOW_MS + lease_ms, id)
  end
  expired = {}
end
for _, id in ipairs(expired) do
  recover_job(id, tonumber(ARGV[1]), 'the lease ended without a heartbeat from the worker', ARGV[2])
end

for _, id in ipairs(call('ZRANGEBYSCORE', K_SCHEDULE, '(' .. format_int(LAST_MS), '+inf', 'LIMIT', 0, STEP)) do
  if call('EXISTS', P_JOB .. id) == 1 then
    call('ZADD', K_SCHEDULE, format_int(NOW_MS), id)
  else
    reject(id, 'an invalid due time')
  end
end
local admitted = admit_due(ADMIT_STEP)
if admitted > 0 and call('HEXISTS', K_META, 'paused') == 0 then
  wake_worker()
end

local function delete_aged(index)
  local aged = call('ZRANGEBYSCORE', index, 0, NOW_MS - tonumber(ARGV[3]), 'LIMIT', 0, STEP)
  for _, id in ipairs(aged) do
    call('ZREM', index, id)
    call('DEL', P_JOB .. id, P_ATTEMPTS .. id, P_ARQ_RESULT .. id)
  end
end
delete_aged(K_COMPLETED)
delete_aged(K_CANCELLED)

for _, worker in ipairs(call('ZRANGEBYSCORE', K_WORKERS, '-inf', NOW_MS - tonumber(ARGV[4]), 'LIMIT', 0, STEP)) do
  call('ZREM', K_WORKERS, worker)
  call('DEL', P_WORKER .. worker)
  add_event('worker-lost', 'worker', worker, 'message', 'no heartbeat', 'jobs', '0')
end

local function merge_bucket(from_key, to_key)
  local fields = call('HGETALL', from_key)
  for i = 1, #fields, 2 do
    local amount = to_int(fields[i + 1])
    if amount then
      call('HINCRBY', to_key, fields[i], format_int(amount))
    end
  end
  if #fields > 0 then
    call('EXPIRE', to_key, MINUTE_TTL)
  end
end
local current = math.floor(NOW_MS / 10000)
local rolled = to_int(call('HGET', K_META, 'rolled'), 0)
if rolled > current + MINUTES_BEHIND then
  rolled = 0 -- damaged
end
local first = math.max(rolled + 1, current - MINUTES_BEHIND)
local last = math.min(current - 1, first + STEP - 1)
if last >= first then
  for n = first, last do
    merge_bucket(P_BUCKET .. '10s:' .. format_int(n), P_BUCKET .. '1m:' .. format_int(math.floor(n / 6)))
  end
  call('HSET', K_META, 'rolled', format_int(last))
end

local function ms_until(index, from)
  local head = call('ZRANGEBYSCORE', index, from, LAST_MS, 'WITHSCORES', 'LIMIT', 0, 1)
  return head[2] and format_int(math.max(0, tonumber(head[2]) - NOW_MS)) or '-1'
end
flush_counters()
return { #expired, admitted, ms_until(K_SCHEDULE, 0), ms_until(K_ACTIVE, 0) }
