-- A supervisor's heartbeat: publishes its state, returns its commands, the age of its workers' runs and the queue's load.
-- Commands stay listed until they are acknowledged. Expired commands are skipped and removed here.
--
-- ARGV    1 supervisor id   2 supervisor state as JSON   3 silence in ms after which a supervisor is removed
--         then its workers' ids
-- Results server now in ms, commands (id, fields)*, the age in ms of the oldest run of each worker, 0 without one,
--         waiting jobs, running jobs, meta fields (LOAD_FIELDS), workers (id, heartbeat ms, info JSON)*,
--         unreadable keys (include/keys.lua)
--
-- @include maxmemory
-- @include move_aside
-- @include layout
-- @include report
-- @include waiting

local STEP = 100
local LOAD_FIELDS = { 'paused', 'completed', 'died', 'retried', 'crashed' }

local id = ARGV[1]
for _, gone in ipairs(call('ZRANGEBYSCORE', K_SUPERVISORS, '-inf', NOW_MS - tonumber(ARGV[3]), 'LIMIT', 0, STEP)) do
  call('ZREM', K_SUPERVISORS, gone)
  call('DEL', P_SUPERVISOR .. gone)
end
call('ZADD', K_SUPERVISORS, format_int(NOW_MS), id)
store_report(P_SUPERVISOR .. id, ARGV[2])

local commands = {}
for _, command in ipairs(call('LRANGE', P_COMMANDS .. id, 0, STEP - 1)) do
  local fields = call('HGETALL', P_COMMAND .. command)
  if #fields > 0 then
    commands[#commands + 1] = { command, fields }
  end
end
if #commands == 0 then
  call('DEL', P_COMMANDS .. id)
end

-- The worker's last heartbeat lists its jobs; jobs that another worker runs by now are skipped.
local function oldest_run_age(worker)
  local read, info = pcall(cjson.decode, call('HGET', P_WORKER .. worker, 'info') or '{}')
  local since = NOW_MS
  local jobs = read and type(info) == 'table' and type(info.jobs) == 'table' and info.jobs or {}
  for _, job in ipairs(jobs) do
    local run = call('HMGET', P_JOB .. tostring(job), 'worker', 'claimed', 'state')
    if run[1] == worker and run[3] == 'active' then
      since = math.min(since, to_int(run[2], NOW_MS))
    end
  end
  return NOW_MS - since
end

local ages = {}
for i = 4, #ARGV do
  ages[#ages + 1] = format_int(oldest_run_age(ARGV[i]))
end
local workers = read_reports(call('ZRANGE', K_WORKERS, 0, -1, 'WITHSCORES'), P_WORKER)
local load = call('HMGET', K_META, unpack(LOAD_FIELDS))
for i = 1, #LOAD_FIELDS do
  load[i] = load[i] or '' -- a nil would end the list
end
return { format_int(NOW_MS), commands, ages, waiting_count(), call('ZCARD', K_ACTIVE), load, workers, unreadable_reply() }
