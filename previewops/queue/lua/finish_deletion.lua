-- Deletes all that is stored about a job that has ended, after its bundle.
--
-- ARGV    1 id   2 token of begin_deletion.lua   3 state before the deletion   4 who   5 reason
-- Results OK, NOT_FOUND, or WRONG_STATE: the job was requeued or submitted again since the deletion began
-- Transitions completed -> deleted, cancelled -> deleted, dead -> deleted
--
-- @include maxmemory
-- @include core_keys
-- @include move_aside
-- @include dead_letters

local id, token = ARGV[1], tonumber(ARGV[2])
local job = call('HMGET', P_JOB .. id, 'state', 'order', 'token', 'fingerprint', 'batch')
local state = job[1]
if state and (state == 'waiting' or state == 'delayed' or state == 'active'
    or to_int(job[2], 0) > token or to_int(job[3], 0) > token) then
  return WRONG_STATE
end
if state == 'dead' then
  remove_from_dead_letters(id, job[4])
  count('discarded')
end
if state then
  leave_batch(job[5], id, state)
  call('ZREM', K_COMPLETED, id)
  call('ZREM', K_CANCELLED, id)
  call('ZREM', K_ARQ_ABORTS, id)
  call('DEL', P_JOB .. id, P_ATTEMPTS .. id, P_ARQ_JOB .. id, P_ARQ_RESULT .. id, P_ARQ_IN_PROGRESS .. id)
end
add_event('deleted', 'job', id, 'was', ARGV[3], 'who', ARGV[4], 'why', ARGV[5])
flush_counters()
return state and OK or NOT_FOUND
