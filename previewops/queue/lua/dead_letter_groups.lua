-- Lists the largest groups of dead letters, which have the same fingerprint.
--
-- ARGV    1 maximum groups
-- Results groups (fingerprint, count, first death in ms, last death in ms, id of the last, its values of RECORD_FIELDS
--         in include/record.lua)*
--
-- @include layout
-- @include record

local reply = {}
for _, fingerprint in ipairs(call('ZREVRANGE', K_DEAD_GROUPS, 0, tonumber(ARGV[1]) - 1)) do
  local index = P_DEAD_GROUP .. fingerprint
  local first = call('ZRANGE', index, 0, 0, 'WITHSCORES')
  local last = call('ZRANGE', index, -1, -1, 'WITHSCORES')
  local values = last[1] and read_record_values(last[1])
  if values and values[1] then
    reply[#reply + 1] = { fingerprint, call('ZCARD', index), first[2], last[2], last[1], values }
  end
end
return reply
