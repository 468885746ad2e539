-- A supervisor's answer to an order, for whoever gave it and for the record.
--
-- KEYS    1 the queue; all others by name (include/keys.lua)
-- ARGV    1 supervisor id   2 order id   3 done | refused   4 message   5 ms for which the answer is kept
-- Results OK, ALREADY when it was answered before, or NOT_FOUND when it has expired
--
-- @include keys
-- @include room
-- @include time
-- @include events

local order = P_ORDER .. ARGV[2]
redis.call('LREM', P_ORDERS .. ARGV[1], 0, ARGV[2])
local given = redis.call('HMGET', order, 'state', 'act', 'target', 'who', 'why')
if not given[1] then
  return NOT_FOUND
end
if given[1] ~= 'sent' then
  return ALREADY
end
redis.call('HSET', order, 'state', ARGV[3], 'message', ARGV[4])
redis.call('PEXPIRE', order, ARGV[5])
event('order', 'act', given[2] or '', 'target', given[3] or '', 'host', ARGV[1], 'who', given[4] or '',
  'why', given[5] or '', 'outcome', ARGV[3], 'message', ARGV[4])
return OK
