-- Requeues claims that their own worker does not know, because a lost connection took the reply with them.
-- Counts no attempt and no crash. Runs only after a reconnect, because it scans the active set.
--
-- ARGV    1 worker id   then the tokens that the worker holds
-- Results requeued ids
-- Transitions active -> waiting
--
-- @include maxmemory
-- @include core_keys
-- @include move_aside
-- @include lease

local known = {}
for i = 2, #ARGV do
  known[ARGV[i]] = true
end
local reply = {}
for _, id in ipairs(call('ZRANGE', K_ACTIVE, 0, -1)) do
  local job = call('HMGET', P_JOB .. id, 'worker', 'token', 'priority', 'order')
  if job[1] == ARGV[1] and not known[job[2]] then
    revoke_lease(id)
    return_to_waiting(id, job[3], job[4])
    reply[#reply + 1] = id
  end
end
return reply
