-- Bounded maintenance step that every worker runs with its heartbeat: recovers expired leases, admits due jobs, deletes
-- aged records and silent workers, merges closed 10 s buckets into 1 min buckets.
--
-- ARGV    1 maximum crashes   2 fingerprint of a lost worker   3 age limit of finished records in ms
--         4 silence in ms after which a worker is removed   5 lease in ms   6 actions of operators to keep
-- Results recovered, admitted, ms until the next delayed job is due or -1, ms until the next lease expires or -1
-- Transitions active -> waiting, active -> dead, delayed -> waiting,
--             completed -> deleted, cancelled -> deleted,
--             waiting -> cancelled, delayed -> cancelled, active -> cancelled
--
-- @include maxmemory
-- @include core_keys
-- @include move_aside
-- @include admit
-- @include check_turns
-- @include recover_job

local STEP = 100
local CLOCK_STEP = 1000
local ARQ_HEALTH_TTL_MS = 60000
local ARQ_HEALTH_MARK = 'by=previewops'
local ADMIT_STEP = 500 -- finish.lua admits nothing: on a busy worker all due jobs are admitted here
local MINUTE_TTL = 48 * 3600 + 120
local MINUTES_BEHIND = 65 * 6
local ACTIONS_STEP = 1000

local lease_ms = tonumber(ARGV[5])
local upkept = to_int(call('HGET', K_META, 'upkept'))
local last_run_ms = upkept or NOW_MS
-- Not at every heartbeat: each write goes to the append-only file.
if not upkept or NOW_MS < upkept or NOW_MS - upkept >= math.min(1000, lease_ms / 3) then
  call('HSET', K_META, 'upkept', NOW_MS)
end
if NOW_MS < last_run_ms then
  -- The server's clock was set back. Leases of lost workers would end later by that much.
  local late = call('ZRANGEBYSCORE', K_ACTIVE, NOW_MS + lease_ms, '+inf', 'WITHSCORES', 'LIMIT', 0, CLOCK_STEP)
  for i = 1, #late, 2 do
    call('ZADD', K_ACTIVE, format_int(math.max(NOW_MS + lease_ms, late[i + 1] - (last_run_ms - NOW_MS))), late[i])
  end
end
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
check_turns()
-- Idle workers sleep long: the one that was woken may have died before its claim.
guard_schedule() -- also for jobs that an earlier version or a stock client has added
if (admitted > 0 or waiting_count() > 0) and call('HEXISTS', K_META, 'paused') == 0 then
  wake_worker()
end

-- arq's set of aborts has the ids of all queues of the database. It keeps those of jobs that no worker finds, so the
-- newest are read. A score is the time of the abort.
for _, id in ipairs(call('ZREVRANGE', K_ARQ_ABORTS, 0, STEP - 1)) do
  local state = call('HGET', P_JOB .. id, 'state')
  if state == 'waiting' or state == 'delayed' or state == 'active' then
    cancel_aborted(id)
  elseif state then
    call('ZREM', K_ARQ_ABORTS, id)
  end
end

-- `arq --check` looks for this key. Another arq worker writes it too, every hour, in its own words.
local function record_arq_health()
  if call('TYPE', K_ARQ_HEALTH).ok ~= 'string' and call('EXISTS', K_ARQ_HEALTH) == 1 then
    return
  end
  local found = get_string(K_ARQ_HEALTH)
  if found and not string.find(found, ARQ_HEALTH_MARK, 1, true) then
    call('HSET', K_META, 'stock_worker', NOW_MS)
    add_event('stock-worker', 'message', 'another arq worker runs on this queue and deletes payloads: ' .. found)
  elseif found and call('PTTL', K_ARQ_HEALTH) > ARQ_HEALTH_TTL_MS / 2 then
    return
  end
  local counters = call('HMGET', K_META, 'completed', 'died', 'retried')
  call('SET', K_ARQ_HEALTH, string.format('j_complete=%s j_failed=%s j_retried=%s j_ongoing=%d queued=%d %s',
    counters[1] or 0, counters[2] or 0, counters[3] or 0, call('ZCARD', K_ACTIVE), pending_count(),
    ARQ_HEALTH_MARK), 'PX', ARQ_HEALTH_TTL_MS)
end
record_arq_health()

local function delete_aged(index)
  local aged = call('ZRANGEBYSCORE', index, 0, NOW_MS - tonumber(ARGV[3]), 'LIMIT', 0, STEP)
  for _, id in ipairs(aged) do
    call('ZREM', index, id)
    call('DEL', P_JOB .. id, P_ATTEMPTS .. id, P_ARQ_RESULT .. id)
  end
end
delete_aged(K_COMPLETED)
delete_aged(K_CANCELLED)

-- A batch outlives the records of its jobs: those that are pending, and dead letters, are kept.
for _, batch in ipairs(call('ZRANGEBYSCORE', K_BATCHES, '-inf', NOW_MS - tonumber(ARGV[3]), 'LIMIT', 0, STEP)) do
  local fields = call('HMGET', P_BATCH .. batch, 'pending', 'dead')
  if to_int(fields[1], 0) + to_int(fields[2], 0) > 0 then
    call('ZADD', K_BATCHES, format_int(NOW_MS), batch)
  else
    call('ZREM', K_BATCHES, batch)
    call('UNLINK', P_BATCH .. batch, P_BATCH_JOBS .. batch)
  end
end

for _, worker in ipairs(call('ZRANGEBYSCORE', K_WORKERS, '-inf', NOW_MS - tonumber(ARGV[4]), 'LIMIT', 0, STEP)) do
  call('ZREM', K_WORKERS, worker)
  call('DEL', P_WORKER .. worker)
  add_event('worker-lost', 'worker', worker, 'message', 'no heartbeat', 'jobs', '0')
end

local actions_kept = tonumber(ARGV[6])
if call('XLEN', K_ACTIONS) > actions_kept then
  call('XTRIM', K_ACTIONS, 'MAXLEN', '~', actions_kept, 'LIMIT', ACTIONS_STEP)
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
