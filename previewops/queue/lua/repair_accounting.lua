-- Compares the number of accepted jobs with the sum of all others, those in a state and those that have ended, and
-- stores the sum on request. That also ends the report of keys that were moved aside. The event has both numbers.
--
-- ARGV    1 1 to store the sum, 0 to compare
-- Results accepted as stored, accepted as counted
--
-- @include core_keys
-- @include move_aside
-- @include events
-- @include waiting

-- Jobs that a stock arq client enqueued count as accepted when a worker admits them.
local MAX_SCHEDULED = 10000

local function count_admitted()
  local admitted = 0
  for _, id in ipairs(call('ZRANGEBYSCORE', K_SCHEDULE, 0, '+inf', 'LIMIT', 0, MAX_SCHEDULED)) do
    local state = call('HGET', P_JOB .. id, 'state')
    admitted = admitted + (state == 'delayed' and 1 or 0)
  end
  return admitted
end

local meta = call('HMGET', K_META, 'accepted', 'completed', 'cancelled', 'discarded', 'quarantined')
local before = to_int(meta[1], 0)
local counted = to_int(meta[2], 0) + to_int(meta[3], 0) + to_int(meta[4], 0) + call('ZCARD', K_DEAD)
  + call('ZCARD', K_ACTIVE) + waiting_count() + count_admitted()
if ARGV[1] == '1' then
  call('HSET', K_META, 'accepted', format_int(counted))
  call('HDEL', K_META, 'quarantined')
  add_event('repaired', 'key', K_META, 'field', 'accepted', 'message',
    format_int(before) .. ' before, ' .. format_int(counted) .. ' now')
end
return { format_int(before), format_int(counted), to_int(meta[5], 0) }
