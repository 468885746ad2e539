-- Cancels some pending jobs of a batch, and closes it. Call it until there is no cursor. Its caller records one event.
--
-- ARGV    1 batch   2 the projects whose batches may be cancelled as JSON, or '' for all   3 cursor of the last call, or ''
--         4 ids to examine   5 maximum jobs to cancel   6 who   7 reason   8 TTL of results in ms
-- Results code (OK, NOT_FOUND), number of cancelled jobs, cursor, or '' at the end
-- Transitions waiting -> cancelled, delayed -> cancelled, active -> cancelled
--
-- @include maxmemory
-- @include core_keys
-- @include move_aside
-- @include batches
-- @include cancel_job
-- @include visible_projects

local batch, cursor, examined, left = ARGV[1], ARGV[3], tonumber(ARGV[4]), tonumber(ARGV[5])
local project = call('HGET', P_BATCH .. batch, 'project')
if not project or not project_matcher(ARGV[2])(project) then
  return { NOT_FOUND, 0, '' }
end
call('HSETNX', P_BATCH .. batch, 'closed', format_int(NOW_MS))
local members = call('ZRANGEBYSCORE', P_BATCH_JOBS .. batch, cursor == '' and '-inf' or '(' .. cursor, '+inf',
  'WITHSCORES', 'LIMIT', 0, examined)
local cancelled, following = 0, ''
for i = 1, #members, 2 do
  local id = members[i]
  local job = call('HMGET', P_JOB .. id, 'state', 'batch')
  if job[2] == batch and (job[1] == 'waiting' or job[1] == 'delayed' or job[1] == 'active') then
    end_as_cancelled(id, ARGV[6], ARGV[7], ARGV[8])
    cancelled = cancelled + 1
  end
  following = format_int(tonumber(members[i + 1]))
  if cancelled == left then
    break
  end
end
if #members < examined * 2 and cancelled < left then
  following = ''
  end_batch(batch)
end
flush_counters()
return { OK, cancelled, following }
