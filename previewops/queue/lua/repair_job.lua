-- Makes the record of a damaged job and the indexes agree, as doctor/job_diagnosis.py decided. Keys of a wrong type, and
-- a record or attempts that cannot be kept, are moved aside; a payload is never deleted.
--
-- ARGV    1 id   2 digest of the observation on which the decision is based   3 state, '' to remove the job's entries
--         4 priority   5 order in µs   6 time in ms: lease expiry, due time or end   7 cause   8 error class
--         9 error code   10 message   11 fingerprint   12 1 if it becomes a dead letter now
--         13 number of record fields to delete, then these, then pairs of field and value to set
-- Results OK, or STALE: the job has changed
-- Transitions damaged -> waiting, damaged -> delayed, damaged -> active, damaged -> completed,
--             damaged -> cancelled, damaged -> dead
--
-- @include maxmemory
-- @include core_keys
-- @include move_aside
-- @include observe_job
-- @include lease
-- @include dead_letters

local id, state, priority, order, at_ms = ARGV[1], ARGV[3], ARGV[4], tonumber(ARGV[5]), tonumber(ARGV[6])
local _, digest = observe_job(id)
if digest ~= ARGV[2] then
  return STALE
end

local function keep_type(key, expected)
  local found = type_of(key)
  if found ~= 'none' and found ~= expected then
    quarantine(key)
  end
end
keep_type(P_JOB .. id, 'hash')
keep_type(P_ATTEMPTS .. id, 'list')
keep_type(P_ARQ_JOB .. id, 'string')
keep_type(P_ARQ_RESULT .. id, 'string')

if state ~= '' and type_of(P_JOB .. id) == 'none' then
  local _, project = read_priority_and_project(id)
  create_record(id, state, priority, project, NOW_MS)
end

if count_damaged_attempts(id) ~= '0' then
  local attempts = call('LRANGE', P_ATTEMPTS .. id, 0, -1)
  quarantine(P_ATTEMPTS .. id)
  for _, attempt in ipairs(attempts) do
    if is_attempt(attempt) then
      call('RPUSH', P_ATTEMPTS .. id, attempt)
    end
  end
end

local project = call('HGET', P_JOB .. id, 'project')
for class in pairs(WAITING) do
  unindex_waiting(id, class, project)
end
for _, set in ipairs(SETS) do
  call('ZREM', set, id)
end
leave_active(id, project)

if state ~= 'active' then
  mark_started(id)
end
local first_pair = 14 + tonumber(ARGV[13])
for i = 14, first_pair - 1 do
  call('HDEL', P_JOB .. id, ARGV[i])
end
for i = first_pair, #ARGV, 2 do
  call('HSET', P_JOB .. id, ARGV[i], ARGV[i + 1])
end
project = call('HGET', P_JOB .. id, 'project')

if state == '' then
  for _, key in ipairs({ P_JOB .. id, P_ATTEMPTS .. id }) do
    if type_of(key) ~= 'none' then
      quarantine(key)
    end
  end
elseif state == 'waiting' then
  revoke_lease(id)
  call('PERSIST', P_ARQ_JOB .. id)
  call('HSET', P_JOB .. id, 'state', 'waiting')
  add_waiting(id, priority, project, order, math.floor(order / 1000))
  wake_worker()
elseif state == 'delayed' then
  call('PERSIST', P_ARQ_JOB .. id)
  call('HSET', P_JOB .. id, 'state', 'delayed')
  call('ZADD', K_SCHEDULE, format_int(at_ms), id)
elseif state == 'active' then
  call('HSET', P_JOB .. id, 'state', 'active')
  call('ZADD', K_ACTIVE, format_int(at_ms), id)
  enter_active(id, turn_of(project))
  call('ZADD', K_SCHEDULE, format_int(-math.floor(order / 1000)), id)
elseif state == 'completed' then
  call('HSET', P_JOB .. id, 'state', 'completed')
  call('ZADD', K_COMPLETED, format_int(at_ms), id)
elseif state == 'cancelled' then
  call('HSET', P_JOB .. id, 'state', 'cancelled')
  call('ZADD', K_CANCELLED, format_int(at_ms), id)
elseif ARGV[12] == '1' then
  call('PERSIST', P_ARQ_JOB .. id)
  move_to_dead_letters(id, ARGV[7], ARGV[8], ARGV[9], ARGV[10], ARGV[11])
else
  index_dead_letter(id, ARGV[11], at_ms)
end
flush_counters()
return OK
