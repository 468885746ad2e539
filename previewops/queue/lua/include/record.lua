-- @include keys

-- Fields of a listed job, from which queue/records.py builds a record without body and history.
local RECORD_FIELDS = {
  'state', 'priority', 'project', 'accepted', 'claimed', 'finished', 'attempts', 'crashes', 'requeues', 'progress',
  'phase', 'worker', 'reason', 'class', 'code', 'cause', 'fingerprint',
}

local function read_record_values(id)
  return redis.call('HMGET', P_JOB .. id, unpack(RECORD_FIELDS))
end

-- The fields of a job that filters use (include/filter_match.lua). Reading them costs half of reading RECORD_FIELDS.
local function read_filter_fields(id)
  local job = redis.call('HMGET', P_JOB .. id, 'state', 'project', 'priority', 'worker', 'class', 'code', 'reason',
    'finished', 'fingerprint')
  local class, code, reason = job[5] or '', job[6] or '', job[7] or ''
  return {
    id = id, state = job[1], project = job[2], priority = job[3], worker = job[4], class = class, code = code,
    reason = reason, error = job[1] ~= 'completed' and class .. '\n' .. code .. '\n' .. reason, finished = job[8],
    fingerprint = job[9],
  }
end
