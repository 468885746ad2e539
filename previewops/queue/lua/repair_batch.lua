-- Counts some members of a batch by the state in their records, or stores what was counted. A member whose record has
-- expired, or names another batch, is not counted: it has ended, so the batch still counts it as completed or cancelled.
-- Before that, adds the jobs that are no members although their records name the batch. Jobs that are pending or dead keep
-- their batch; that of the others may have expired.
--
-- ARGV    1 batch   2 cursor of the last call, or ''   3 ids to examine
--         or 1 batch   2 'store'   3 to 6 pending, completed, dead and cancelled as stored, '' for none
--         7 to 10 the same as counted   11 project of a member
--         or 1 batch   2 'missing' to count, 'add' to add   3 and more jobs that may be missing
--         or 1 batch   2 'unlisted' to check whether the list of batches lacks it, 'list' to add it
-- Results cursor or '' at the end, pending, completed, dead, cancelled, project of a member or ''
--         or OK, or STALE: a job of the batch has ended or started since
--         or the number of missing jobs, or 1 for a batch that the list lacked
--
-- @include core_keys
-- @include move_aside
-- @include events
-- @include batches

local batch, key = ARGV[1], P_BATCH .. ARGV[1]
local NAMES = { 'pending', 'completed', 'dead', 'cancelled' }
if ARGV[2] == 'store' then
  local stored = call('HMGET', key, unpack(NAMES))
  for i = 1, #NAMES do
    if (stored[i] or '') ~= ARGV[2 + i] then
      return STALE
    end
  end
  open_batch(batch, ARGV[11])
  call('HSETNX', key, 'created', format_int(NOW_MS))
  for i, name in ipairs(NAMES) do
    call('HSET', key, name, ARGV[6 + i])
  end
  if tonumber(ARGV[7]) > 0 then
    call('HDEL', key, 'ended')
  end
  add_event('repaired', 'key', key, 'message',
    table.concat(ARGV, ' ', 3, 6) .. ' before, ' .. table.concat(ARGV, ' ', 7, 10) .. ' now')
  end_batch(batch)
  return OK
end

if ARGV[2] == 'unlisted' or ARGV[2] == 'list' then
  local unlisted = call('EXISTS', key) == 1 and not call('ZSCORE', K_BATCHES, batch)
  if unlisted and ARGV[2] == 'list' then
    call('ZADD', K_BATCHES, format_int(NOW_MS), batch)
  end
  return unlisted and 1 or 0
end

if ARGV[2] == 'missing' or ARGV[2] == 'add' then
  local missing, exists = 0, call('EXISTS', key) == 1
  for i = 3, #ARGV do
    local id = ARGV[i]
    local job = call('HMGET', P_JOB .. id, 'state', 'batch')
    local keeps = STATES[job[1]] and (exists or job[1] ~= 'completed' and job[1] ~= 'cancelled')
    if job[2] == batch and keeps and not call('ZSCORE', P_BATCH_JOBS .. batch, id) then
      missing = missing + 1
      if ARGV[2] == 'add' then
        call('ZADD', P_BATCH_JOBS .. batch, format_int(next_sequence(1)), id)
      end
    end
  end
  return missing
end

local examined = tonumber(ARGV[3])
local counts = { pending = 0, completed = 0, dead = 0, cancelled = 0 }
local members = call('ZRANGEBYSCORE', P_BATCH_JOBS .. batch, ARGV[2] == '' and '-inf' or '(' .. ARGV[2], '+inf',
  'WITHSCORES', 'LIMIT', 0, examined)
local project = ''
for i = 1, #members, 2 do
  local job = call('HMGET', P_JOB .. members[i], 'state', 'batch', 'project')
  if job[2] == batch and STATES[job[1]] then
    local name = COUNTED[job[1]] or 'pending'
    counts[name] = counts[name] + 1
    project = job[3] or project
  end
end
local following = #members == examined * 2 and format_int(tonumber(members[#members])) or ''
return { following, counts.pending, counts.completed, counts.dead, counts.cancelled, project }
