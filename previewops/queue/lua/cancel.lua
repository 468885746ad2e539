-- Cancels a pending job. Its token is void at once; a running render stops at its worker's next heartbeat.
--
-- ARGV    1 id   2 who   3 reason   4 TTL of the result in ms   5.. the projects whose jobs may be cancelled; none: all
-- Results code (OK, NOT_FOUND, WRONG_STATE), previous state
-- Transitions waiting -> cancelled, delayed -> cancelled, active -> cancelled
--
-- @include maxmemory
-- @include core_keys
-- @include move_aside
-- @include admit
-- @include cancel_job

local id, who, reason, ttl_ms = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local state, foreign_state = call('HGET', P_JOB .. id, 'state'), nil
if not state then
  local due_ms = call('ZSCORE', K_SCHEDULE, id)
  if not due_ms then
    return { NOT_FOUND, '' }
  end
  -- A stock arq client enqueued it and no worker has admitted it.
  admit_foreign(id, math.min(math.abs(tonumber(due_ms)), NOW_MS))
  foreign_state = tonumber(due_ms) > NOW_MS and 'delayed' or 'waiting'
  state = call('HGET', P_JOB .. id, 'state')
end
if ARGV[5] then
  local project, allowed = call('HGET', P_JOB .. id, 'project'), false
  for i = 5, #ARGV do
    allowed = allowed or ARGV[i] == project
  end
  if not allowed then
    return { NOT_FOUND, '' }
  end
end
if state ~= 'waiting' and state ~= 'delayed' and state ~= 'active' then
  return { WRONG_STATE, state }
end

cancel_job(id, who, reason, ttl_ms)
flush_counters()
return { OK, foreign_state or state }
