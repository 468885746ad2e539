-- Everything a screen needs, at one moment, at a cost that depends on neither depth nor dead letters.
--
-- KEYS    1 the queue; all others by name (include/keys.lua)
-- ARGV    1 number of 10 s buckets wanted, the current one included
--         2 number of 1 min buckets wanted, the current one excluded
--         3 number of events wanted   4 id of the last event known, '' for none
--         5 number of running jobs wanted   6 number of supervisors wanted
-- Results server now in ms, meta fields, waiting high, normal, low, delayed, active, completed kept, dead,
--         oldest heads in µs (high, normal, low, or ''), workers (id, heartbeat ms, info JSON)*,
--         buckets (number, fields)*, minutes (number, fields)*, supervisors (id, last report in ms, info JSON)*,
--         events (id, fields)* newest first, running jobs (id, values of RUN)* newest claim first
--
-- @include keys
-- @include time

local RUN = { 'state', 'token', 'project', 'priority', 'worker', 'claimed', 'progress', 'phase', 'attempts', 'crashes' }

local function head_us(key)
  return redis.call('ZRANGE', key, 0, 0, 'WITHSCORES')[2] or ''
end

local function informants(seen, prefix)
  local found = {}
  for i = 1, #seen, 2 do
    found[#found + 1] = { seen[i], seen[i + 1], redis.call('HGET', prefix .. seen[i], 'info') or '{}' }
  end
  return found
end

local function buckets(name, last, wanted)
  local found = {}
  for n = last - wanted + 1, last do
    local fields = redis.call('HGETALL', P_BUCKET .. name .. digits(n))
    if #fields > 0 then
      found[#found + 1] = { digits(n), fields }
    end
  end
  return found
end

local function latest_events(wanted, after)
  if wanted == 0 then
    return {}
  end
  return redis.call('XREVRANGE', K_EVENTS, '+', after == '' and '-' or '(' .. after, 'COUNT', wanted)
end

-- The index is by the end of the lease; where more run than are wanted, it is among those whose leases end last that
-- the newest claims are.
local function runs(wanted)
  local found = {}
  if wanted == 0 then
    return found
  end
  for _, id in ipairs(redis.call('ZREVRANGE', K_ACTIVE, 0, wanted - 1)) do
    local values = redis.call('HMGET', P_JOB .. id, unpack(RUN))
    if values[1] == 'active' then
      found[#found + 1] = { id, values }
    end
  end
  table.sort(found, function(one, other)
    return tonumber(one[2][2] or 0) > tonumber(other[2][2] or 0)
  end)
  return found
end

return {
  digits(NOW_MS), redis.call('HGETALL', K_META),
  redis.call('ZCARD', K_HIGH), redis.call('ZCARD', K_NORMAL), redis.call('ZCARD', K_LOW),
  redis.call('ZCOUNT', K_SCHEDULE, 0, '+inf'), redis.call('ZCARD', K_ACTIVE), redis.call('ZCARD', K_COMPLETED),
  redis.call('ZCARD', K_DEAD), head_us(K_HIGH), head_us(K_NORMAL), head_us(K_LOW),
  informants(redis.call('ZRANGE', K_WORKERS, 0, -1, 'WITHSCORES'), P_WORKER),
  buckets('10s:', math.floor(NOW_MS / 10000), tonumber(ARGV[1])),
  buckets('1m:', math.floor(NOW_MS / 60000) - 1, tonumber(ARGV[2])),
  informants(redis.call('ZREVRANGE', K_SUPERVISORS, 0, tonumber(ARGV[6]) - 1, 'WITHSCORES'), P_SUPERVISOR),
  latest_events(tonumber(ARGV[3]), ARGV[4]),
  runs(tonumber(ARGV[5])),
}
