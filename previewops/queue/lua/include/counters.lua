-- Lifetime counters live in the meta hash, recent history in one hash per 10 s (kept 65 min). The maintenance
-- script adds closed 10 s buckets up into 1 min buckets (kept 48 h), so a hot path writes one bucket only.
-- Lifetime totals by priority are in a hash of their own, which screens do not read (previewops/metrics/lifetime_counters.py): how many
-- waited and ran for how long, and what failed of what. Their names are made of fixed words only.
-- What a script counts is gathered and written once, by write_tally() before the script returns.
local TEN_SECONDS_TTL = 3900
local lifetime, recent, totals = {}, {}, {}

local function count(field, amount)
  amount = amount or 1
  lifetime[field] = (lifetime[field] or 0) + amount
  recent[field] = (recent[field] or 0) + amount
end

-- Counts one more `what` of a class, by its cause if it has one. A class that is none counts as normal.
local function total(what, priority, cause)
  local field = what .. ':' .. (WAITING[priority] and priority or 'normal') .. (cause and ':' .. cause or '')
  totals[field] = (totals[field] or 0) + 1
end

-- Counts submits that were turned away. What class they would have had is not to be believed.
local function total_refused(reason, amount)
  totals['submit:' .. reason] = (totals['submit:' .. reason] or 0) + amount
end

-- Quarter-octave bins: bin 0 is under 1 ms, bin b covers [2^((b-1)/4), 2^(b/4)) ms. previewops/snapshot/histogram.py reads them.
local QUARTER = math.log(2) / 4
local function observe(series, ms, priority)
  local bin = ms < 1 and 0 or math.floor(math.log(ms) / QUARTER) + 1
  local field = series .. bin
  recent[field] = (recent[field] or 0) + 1
  total(series, priority, bin)
end

local function write_tally()
  for field, amount in pairs(lifetime) do
    redis.call('HINCRBY', K_META, field, amount)
  end
  for field, amount in pairs(totals) do
    redis.call('HINCRBY', K_TOTALS, field, amount)
  end
  local bucket = P_BUCKET .. '10s:' .. digits(math.floor(NOW_MS / 10000))
  local fresh = false
  for field, amount in pairs(recent) do
    fresh = redis.call('HINCRBY', bucket, field, amount) == amount or fresh
  end
  if fresh then
    redis.call('EXPIRE', bucket, TEN_SECONDS_TTL)
  end
end
