-- What a listing tells of a job: the fields that previewops/queue/records.py makes a record of, without body and history.
local RECORD = {
  'state', 'priority', 'project', 'accepted', 'claimed', 'finished', 'attempts', 'crashes', 'requeues', 'progress',
  'phase', 'worker', 'reason', 'class', 'code', 'cause', 'fingerprint',
}

local function values_of(id)
  return redis.call('HMGET', P_JOB .. id, unpack(RECORD))
end

-- A job as the words of a filter see it (include/match.lua), and what else a choice may look at. Reading it costs half
-- of what all of RECORD does.
local function look_at(id)
  local found = redis.call('HMGET', P_JOB .. id, 'state', 'project', 'priority', 'worker', 'class', 'code', 'reason',
    'finished', 'fingerprint')
  local class, code, reason = found[5] or '', found[6] or '', found[7] or ''
  return {
    id = id, state = found[1], project = found[2], priority = found[3], worker = found[4], class = class, code = code,
    reason = reason, error = found[1] ~= 'completed' and class .. '\n' .. code .. '\n' .. reason, finished = found[8],
    fingerprint = found[9],
  }
end
