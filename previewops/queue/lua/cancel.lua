-- Cancels a pending job. Its token is void at once; a running render stops at its worker's next heartbeat.
--
-- ARGV    1 id   2 who   3 reason   4 TTL of the result in ms   5.. the projects whose jobs may be cancelled; none: all
-- Results code (OK, NOT_FOUND, WRONG_STATE), previous state
-- Transitions waiting -> cancelled, delayed -> cancelled, active -> cancelled
--
-- @include maxmemory
-- @include core_keys
-- @include move_aside
-- @include admit_now
-- @include cancel_job
-- @include named_projects

local id, who, reason, ttl_ms = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local job = call('HMGET', P_JOB .. id, 'state', 'project')
local state, foreign_state = job[1], nil
if not is_named_project(id, state, job[2], 5) then
  return { NOT_FOUND, '' }
end
if not state then
  foreign_state = admit_now(id)
  if not foreign_state then
    return { NOT_FOUND, '' }
  end
  state = 'waiting'
end
if state ~= 'waiting' and state ~= 'delayed' and state ~= 'active' then
  return { WRONG_STATE, state }
end

cancel_job(id, who, reason, ttl_ms)
flush_counters()
return { OK, foreign_state or state }
