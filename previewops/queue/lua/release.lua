-- Gives jobs back without spending an attempt: a drain, or a claim whose reply was lost.
--
-- KEYS    1 the queue; all others by name (include/keys.lua)
-- ARGV    1 worker id   then two per job: id, token
-- Results one code per job: OK, ALREADY or STALE
--
-- @include keys
-- @include room
-- @include time
-- @include waiting
-- @include lease

local reply = {}
for i = 2, #ARGV, 2 do
  local id, token = ARGV[i], ARGV[i + 1]
  local code = held(id, token)
  if code == OK then
    local job = redis.call('HMGET', P_JOB .. id, 'priority', 'order')
    end_lease(id)
    put_back(id, job[1], job[2])
  end
  reply[#reply + 1] = code
end
return reply
