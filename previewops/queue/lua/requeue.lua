-- Requeues dead letters.
-- Skips jobs that died after the cut-off: a bulk operation handles each job once, even if it fails again at once.
--
-- ARGV    1 cut-off in server ms, '' for now   2 priority, or '' to keep each job's own   3.. ids
-- Results one code per id: OK, NOT_FOUND or WRONG_STATE
-- Transitions dead -> waiting
--
-- @include maxmemory
-- @include core_keys
-- @include move_aside
-- @include requeue_dead_letter

local cut_off, priority = tonumber(ARGV[1]) or NOW_MS, ARGV[2]
local reply, done = {}, 0
for i = 3, #ARGV do
  local id = ARGV[i]
  local job = call('HMGET', P_JOB .. id, 'state', 'finished', 'fingerprint', 'priority')
  if not job[1] then
    reply[#reply + 1] = NOT_FOUND
  elseif job[1] ~= 'dead' or to_int(job[2], 0) > cut_off then
    reply[#reply + 1] = WRONG_STATE
  else
    requeue_dead_letter(id, job[3], priority ~= '' and priority or class_of(job[4]))
    done = done + 1
    reply[#reply + 1] = OK
  end
end
if done > 0 then
  count('requeued', done)
  wake_worker()
end
flush_counters()
return reply
