-- Begins the deletion of a job: cancels it if it is pending, so that nothing runs any more. Its record stays until the
-- bundle is gone (finish_deletion.lua), so that a deletion that fails or is interrupted can be repeated.
--
-- ARGV    1 id   2 who   3 reason   4 TTL of the result in ms   5.. the projects whose jobs may be deleted; none: all
-- Results code (OK, NOT_FOUND), state before, project, a fencing token above those of all attempts until now, digest of
--         the body
-- Transitions waiting -> cancelled, delayed -> cancelled, active -> cancelled
--
-- @include maxmemory
-- @include core_keys
-- @include move_aside
-- @include admit_now
-- @include cancel_job

local id, who, reason, ttl_ms = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local job = call('HMGET', P_JOB .. id, 'state', 'project', 'digest')
local state, project = job[1], job[2] or ''
if not state then
  local _, named = read_priority_and_project(id)
  project = named
end
local allowed = not ARGV[5]
for i = 5, #ARGV do
  allowed = allowed or ARGV[i] == project
end
local token = format_int(next_sequence(1))
if allowed and not state then
  state = admit_now(id)
end
if not state or not allowed then
  return { NOT_FOUND, '', '', token, '' }
end
if state == 'waiting' or state == 'delayed' or state == 'active' then
  cancel_job(id, who, reason, ttl_ms)
end
flush_counters()
return { OK, state, project, token, job[3] or '' }
