-- What a listing tells of a job: the fields that previewops/records.py makes a record of, without body and history.
local RECORD = {
  'state', 'priority', 'project', 'accepted', 'claimed', 'finished', 'attempts', 'crashes', 'requeues', 'progress',
  'phase', 'worker', 'reason', 'class', 'code', 'cause', 'fingerprint',
}

-- The fields of a record by name, and their values in the order of RECORD.
local function record_of(id)
  local values, fields = redis.call('HMGET', P_JOB .. id, unpack(RECORD)), {}
  for i, name in ipairs(RECORD) do
    fields[name] = values[i]
  end
  return fields, values
end

-- What the words of a filter look at.
local function seen_by_filter(id, fields)
  return {
    id = id, project = fields.project, priority = fields.priority, state = fields.state, worker = fields.worker,
    error = fields.state ~= 'completed'
      and (fields.class or '') .. '\n' .. (fields.code or '') .. '\n' .. (fields.reason or ''),
  }
end
