-- @include record

-- All that Redis stores about one job, for doctor/job_diagnosis.py, and a digest of it. Numbers and texts as stored.
local SETS = { K_HIGH, K_NORMAL, K_LOW, K_SCHEDULE, K_ACTIVE, K_COMPLETED, K_CANCELLED, K_DEAD }
local OBSERVED = { 'state', 'priority', 'project', 'digest', 'accepted', 'order', 'since', 'claimed', 'finished',
  'attempts', 'crashes', 'requeues', 'attempts_dropped', 'progress', 'token', 'worker', 'class', 'code', 'reason', 'cause', 'fingerprint' }

local function type_of(key)
  return redis.call('TYPE', key).ok
end

local function is_attempt(text)
  local read, attempt = pcall(cjson.decode, text)
  return read and type(attempt) == 'table' and to_int(attempt.at) ~= nil and to_int(attempt.durationMs) ~= nil
end

local function count_damaged_attempts(id)
  local damaged = 0
  for _, attempt in ipairs(call('LRANGE', P_ATTEMPTS .. id, 0, -1)) do
    damaged = damaged + (is_attempt(attempt) and 0 or 1)
  end
  return tostring(damaged)
end

local function observe_job(id)
  local observation = { type_of(P_JOB .. id), type_of(P_ATTEMPTS .. id), type_of(P_ARQ_JOB .. id),
    type_of(P_ARQ_RESULT .. id), count_damaged_attempts(id), is_invalid_id(id) and '1' or '0' }
  for _, set in ipairs(SETS) do
    observation[#observation + 1] = call('ZSCORE', set, id) or ''
  end
  local values = call('HMGET', P_JOB .. id, unpack(OBSERVED))
  for i = 1, #OBSERVED do
    -- '=' tells an empty value from a missing one.
    observation[#observation + 1] = values[i] and '=' .. values[i] or ''
  end
  local group = values[#OBSERVED] and call('ZSCORE', P_DEAD_GROUP .. values[#OBSERVED], id)
  observation[#observation + 1] = group or ''
  return observation, redis.sha1hex(table.concat(observation, '\0'))
end
