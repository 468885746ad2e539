-- Everything a screen needs, at one moment, at a cost that depends on neither depth nor dead letters.
--
-- KEYS    1 the queue; all others by name (include/keys.lua)
-- ARGV    1 number of 10 s buckets wanted, the current one included
-- Results server now in ms, meta fields, waiting high, normal, low, delayed, active, completed kept, dead,
--         oldest heads in µs (high, normal, low, or ''), workers (id, heartbeat ms, info JSON)*,
--         buckets (number, fields)*
--
-- @include keys
-- @include time

local function head_us(key)
  return redis.call('ZRANGE', key, 0, 0, 'WITHSCORES')[2] or ''
end

local workers = {}
local seen = redis.call('ZRANGE', K_WORKERS, 0, -1, 'WITHSCORES')
for i = 1, #seen, 2 do
  workers[#workers + 1] = { seen[i], seen[i + 1], redis.call('HGET', P_WORKER .. seen[i], 'info') or '{}' }
end

local buckets = {}
local current = math.floor(NOW_MS / 10000)
for n = current - tonumber(ARGV[1]) + 1, current do
  local fields = redis.call('HGETALL', P_BUCKET .. '10s:' .. digits(n))
  if #fields > 0 then
    buckets[#buckets + 1] = { digits(n), fields }
  end
end

return {
  digits(NOW_MS), redis.call('HGETALL', K_META),
  redis.call('ZCARD', K_HIGH), redis.call('ZCARD', K_NORMAL), redis.call('ZCARD', K_LOW),
  redis.call('ZCOUNT', K_SCHEDULE, 0, '+inf'), redis.call('ZCARD', K_ACTIVE), redis.call('ZCARD', K_COMPLETED),
  redis.call('ZCARD', K_DEAD), head_us(K_HIGH), head_us(K_NORMAL), head_us(K_LOW), workers, buckets,
}
