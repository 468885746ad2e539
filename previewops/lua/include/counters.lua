-- Lifetime counters live in the meta hash, recent history in one hash per 10 s (kept 65 min). The maintenance
-- script adds closed 10 s buckets up into 1 min buckets (kept 48 h), so a hot path writes one bucket only.
local TEN_SECONDS_TTL = 3900

local function bucket_key()
  return P_BUCKET .. '10s:' .. digits(math.floor(NOW_MS / 10000))
end

local function bump_bucket(field, amount)
  local key = bucket_key()
  if redis.call('HINCRBY', key, field, amount) == amount then
    redis.call('EXPIRE', key, TEN_SECONDS_TTL)
  end
end

local function count(field, amount)
  amount = amount or 1
  redis.call('HINCRBY', K_META, field, amount)
  bump_bucket(field, amount)
end

-- Quarter-octave bins: bin 0 is under 1 ms, bin b covers [2^((b-1)/4), 2^(b/4)) ms. previewops/histogram.py reads them.
local function observe(series, ms)
  local bin = 0
  if ms >= 1 then
    bin = math.floor(math.log(ms) / math.log(2) * 4) + 1
  end
  bump_bucket(series .. digits(bin), 1)
end
