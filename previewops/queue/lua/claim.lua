-- Claims jobs under a lease with a fencing token.
--
-- ARGV    1 worker id   2 lease in ms   3 ageing limit in ms   4 maximum claims   5 maximum claims ahead
-- Results server now in ms, ms until the next claim is useful or -1, then ten per claim (include/claim.lua). It is
--         useful when a delayed job is due, and often while stock arq clients enqueue, which wake no worker.
-- Transitions delayed -> waiting, waiting -> active, delayed -> cancelled
--
-- @include maxmemory
-- @include core_keys
-- @include move_aside
-- @include admit
-- @include claim

local STOCK_CLIENT_MS = 24 * 3600 * 1000 -- stock arq clients are in use for that long after their last job
local STOCK_POLL_MS = 250

local reply = { format_int(NOW_MS), '-1' }
local admitted = admit_due(tonumber(ARGV[4]) + 8)
claim_jobs(reply, ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5]), admitted > 0)
local next_due = call('ZRANGEBYSCORE', K_SCHEDULE, 0, LAST_MS, 'WITHSCORES', 'LIMIT', 0, 1)
if next_due[2] then
  reply[2] = format_int(math.max(0, tonumber(next_due[2]) - NOW_MS))
end
if NOW_MS - to_int(redis.call('HGET', K_META, 'stock_enqueue'), 0) < STOCK_CLIENT_MS then
  reply[2] = format_int(math.min(STOCK_POLL_MS, next_due[2] and tonumber(reply[2]) or STOCK_POLL_MS))
end
flush_counters()
return reply
