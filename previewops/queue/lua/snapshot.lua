-- Reads a queue at one moment for screens, health and metrics. The cost is independent of queue depth and dead letters.
--
-- ARGV    1 maximum 10 s buckets, including the current one   2 maximum 1 min buckets, excluding the current one
--         3 maximum events   4 id of the last known event, '' for none
--         5 maximum running jobs   6 maximum supervisors   7 records to check in each list of jobs
-- Results server now in ms, meta fields, waiting high, normal, low, delayed, active, completed kept, dead,
--         admission of the oldest waiting job in µs or '' (high, normal, low), workers (id, heartbeat ms, info JSON)*,
--         buckets (index, fields)*, minutes (index, fields)*, supervisors (id, heartbeat ms, info JSON)*,
--         events (id, fields)* newest first, running jobs (id, values of RUNNING_FIELDS)* newest claim first,
--         unreadable keys (include/keys.lua)
--
-- @include layout
-- @include report
-- @include record

local RUNNING_FIELDS = { 'state', 'token', 'project', 'priority', 'worker', 'claimed', 'progress', 'phase', 'attempts',
  'crashes' }

local function head_us(key)
  return call('ZRANGE', key, 0, 0, 'WITHSCORES')[2] or ''
end

local function read_buckets(width, last, limit)
  local filled = {}
  for n = last - limit + 1, last do
    local fields = call('HGETALL', P_BUCKET .. width .. format_int(n))
    if #fields > 0 then
      filled[#filled + 1] = { format_int(n), fields }
    end
  end
  return filled
end

local function latest_events(limit, after)
  if limit == 0 then
    return {}
  end
  return call('XREVRANGE', K_EVENTS, '+', after == '' and '-' or '(' .. after, 'COUNT', limit)
end

-- The index is by lease expiry. Above the limit, the newest claims are among those with the latest expiry.
local function read_running_jobs(limit)
  local jobs = {}
  if limit == 0 then
    return jobs
  end
  for _, id in ipairs(call('ZREVRANGE', K_ACTIVE, 0, limit - 1)) do
    local values = call('HMGET', P_JOB .. id, unpack(RUNNING_FIELDS))
    if values[1] == 'active' then
      jobs[#jobs + 1] = { id, values }
    elseif not STATES[values[1]] then
      note_unreadable(P_JOB .. id)
    end
  end
  table.sort(jobs, function(one, other)
    return to_int(one[2][2], 0) > to_int(other[2][2], 0)
  end)
  return jobs
end

local function check_records(limit)
  if limit == 0 then
    return
  end
  call('ZCARD', K_ARQ_ABORTS) -- notes a foreign key
  for _, index in ipairs({ K_HIGH, K_NORMAL, K_LOW, K_ACTIVE, K_DEAD, K_COMPLETED, K_CANCELLED }) do
    for _, id in ipairs(call('ZREVRANGE', index, 0, limit - 1)) do
      if not is_readable(id) then
        note_unreadable(P_JOB .. id)
      end
    end
  end
end
local reply = {
  format_int(NOW_MS), call('HGETALL', K_META),
  call('ZCARD', K_HIGH), call('ZCARD', K_NORMAL), call('ZCARD', K_LOW),
  call('ZCOUNT', K_SCHEDULE, 0, '+inf'), call('ZCARD', K_ACTIVE), call('ZCARD', K_COMPLETED),
  call('ZCARD', K_DEAD), head_us(K_HIGH), head_us(K_NORMAL), head_us(K_LOW),
  read_reports(call('ZRANGE', K_WORKERS, 0, -1, 'WITHSCORES'), P_WORKER),
  read_buckets('10s:', math.floor(NOW_MS / 10000), tonumber(ARGV[1])),
  read_buckets('1m:', math.floor(NOW_MS / 60000) - 1, tonumber(ARGV[2])),
  read_reports(call('ZREVRANGE', K_SUPERVISORS, 0, tonumber(ARGV[6]) - 1, 'WITHSCORES'), P_SUPERVISOR),
  latest_events(tonumber(ARGV[3]), ARGV[4]),
  read_running_jobs(tonumber(ARGV[5])),
}
check_records(tonumber(ARGV[7]))
reply[#reply + 1] = unreadable_reply()
return reply
