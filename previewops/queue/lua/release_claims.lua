-- Requeues claimed jobs on request of the worker that holds them. Counts no attempt and no crash.
--
-- ARGV    1 worker id   then two per job: id, token
-- Results one code per job: OK, ALREADY or STALE
-- Transitions active -> waiting
--
-- @include maxmemory
-- @include core_keys
-- @include move_aside
-- @include lease

local reply = {}
for i = 2, #ARGV, 2 do
  local id, token = ARGV[i], ARGV[i + 1]
  local code = check_lease(id, token)
  if code == OK then
    local job = call('HMGET', P_JOB .. id, 'priority', 'order')
    end_lease(id)
    return_to_waiting(id, job[1], job[2])
  end
  reply[#reply + 1] = code
end
return reply
