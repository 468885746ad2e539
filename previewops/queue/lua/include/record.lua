-- @include job_id

-- Fields of a listed job, from which queue/records.py builds a record without body and history.
local RECORD_FIELDS = {
  'state', 'priority', 'project', 'accepted', 'claimed', 'finished', 'attempts', 'crashes', 'requeues', 'progress',
  'phase', 'worker', 'reason', 'class', 'code', 'cause', 'fingerprint', 'order', 'since', 'previous', 'batch', 'due',
}

local function read_record_values(id)
  local values = call('HMGET', P_JOB .. id, unpack(RECORD_FIELDS))
  if values[1] == 'delayed' then -- no record has the last one
    local due_ms = to_int(call('ZSCORE', K_SCHEDULE, id))
    values[#RECORD_FIELDS] = due_ms and format_int(due_ms)
  end
  return values
end

-- The fields of a job that filters use (include/filter_match.lua). Reading them costs half of reading RECORD_FIELDS.
local function read_filter_fields(id)
  local job = call('HMGET', P_JOB .. id, 'state', 'project', 'priority', 'worker', 'class', 'code', 'reason',
    'finished', 'fingerprint')
  local class, code, reason = job[5] or '', job[6] or '', job[7] or ''
  return {
    id = id, state = job[1], project = job[2], priority = job[3], worker = job[4], class = class, code = code,
    reason = reason, error = job[1] ~= 'completed' and class .. '\n' .. code .. '\n' .. reason, finished = job[8],
    fingerprint = job[9],
  }
end

-- Whether all readers can read a record. For a sample of the jobs: it costs as much as reading the record.
local function is_readable(id)
  local job = call('HMGET', P_JOB .. id, 'state', 'priority', 'accepted', 'attempts', 'crashes', 'claimed', 'finished',
    'requeues')
  for i = 3, 8 do
    if job[i] and not to_int(job[i]) or (i <= 5 and not job[i]) then
      return false
    end
  end
  return STATES[job[1]] and WAITING[job[2]] and not is_invalid_id(id)
end
