-- @include time

-- Lifetime counters are in the meta hash, recent history is in one hash per 10 s (kept 65 min). maintain.lua merges
-- closed 10 s buckets into 1 min buckets (kept 48 h), so hot paths write one bucket only.
-- Counters by priority are in a hash of their own, which only metrics read (metrics/lifetime_counters.py): histograms
-- of wait and run time, and failures by cause. Their field names consist of fixed words only.
-- Scripts collect counts and write them once, with flush_counters() before they return.
local TEN_SECONDS_TTL = 3900
local lifetime, recent, totals = {}, {}, {}
local flush_breakdown = nil -- include/breakdown.lua

local function count(field, amount)
  amount = amount or 1
  lifetime[field] = (lifetime[field] or 0) + amount
  recent[field] = (recent[field] or 0) + amount
end

-- Counts one `what` of a priority, and of a cause if given. An unknown priority counts as normal.
local function count_by_priority(what, priority, cause)
  local field = what .. ':' .. (WAITING[priority] and priority or 'normal') .. (cause and ':' .. cause or '')
  totals[field] = (totals[field] or 0) + 1
end

-- Counts `what` of an output format (include/breakdown.lua).
local function count_by_format(what, format, amount)
  local field = 'format:' .. format .. ':' .. what
  totals[field] = (totals[field] or 0) + amount
end

-- Counts rejected submits. Their priority is not trusted.
local function count_rejected(reason, amount)
  totals['submit:' .. reason] = (totals['submit:' .. reason] or 0) + amount
end

-- Quarter-octave bins: bin 0 is below 1 ms, bin b covers [2^((b-1)/4), 2^(b/4)) ms (see snapshot/histogram.py).
local QUARTER = math.log(2) / 4
local function bin_of(ms)
  return ms < 1 and 0 or math.floor(math.log(ms) / QUARTER) + 1
end

local function observe(series, ms, priority)
  local bin = bin_of(ms)
  local field = series .. bin
  recent[field] = (recent[field] or 0) + 1
  count_by_priority(series, priority, bin)
end

local function flush_counters()
  for field, amount in pairs(lifetime) do
    call('HINCRBY', K_META, field, amount)
  end
  for field, amount in pairs(totals) do
    call('HINCRBY', K_TOTALS, field, amount)
  end
  local bucket = P_BUCKET .. '10s:' .. format_int(math.floor(NOW_MS / 10000))
  local fresh = false
  for field, amount in pairs(recent) do
    fresh = call('HINCRBY', bucket, field, amount) == amount or fresh
  end
  if fresh then
    call('EXPIRE', bucket, TEN_SECONDS_TTL)
  end
  if flush_breakdown then
    flush_breakdown()
  end
end
