-- Deletes all that is stored about a job that has ended, after its bundle. If another payload was submitted in its place
-- since the deletion began, that one is a new job: it stays, without the history of the old one.
--
-- ARGV    1 id   2 token of begin_deletion.lua   3 state before the deletion   4 who   5 reason   6 digest of the body
--         that is deleted
-- Results OK, NOT_FOUND, REPLACED: only the old payload was deleted, or WRONG_STATE: the job was requeued since the
--         deletion began
-- Transitions completed -> deleted, cancelled -> deleted, dead -> deleted, active -> waiting
--
-- @include maxmemory
-- @include core_keys
-- @include move_aside
-- @include dead_letters
-- @include lease

local id, token = ARGV[1], tonumber(ARGV[2])
local job = call('HMGET', P_JOB .. id, 'state', 'order', 'token', 'fingerprint', 'batch', 'digest', 'priority')
local state = job[1]
local is_pending = state == 'waiting' or state == 'delayed' or state == 'active'
if is_pending and (job[6] or '') ~= ARGV[6] then
  call('DEL', P_ATTEMPTS .. id)
  call('HDEL', P_JOB .. id, 'requeues', 'attempts_dropped', 'previous', 'reason')
  if state == 'active' then -- its bundle may have been deleted with the old one
    revoke_lease(id)
    return_to_waiting(id, job[7], job[2])
  end
  add_event('deleted', 'job', id, 'was', ARGV[3], 'who', ARGV[4], 'why', ARGV[5])
  flush_counters()
  return REPLACED
end
if state and (is_pending or to_int(job[2], 0) > token or to_int(job[3], 0) > token) then
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
