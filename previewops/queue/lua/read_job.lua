-- Reads all data of one job at one moment. A MULTI of plain reads would be rejected at maxmemory.
--
-- ARGV    1 id
-- Results record (field, value)*, arq's body, arq's result, attempts as JSON, score in the schedule,
--         server now in s and µs, unreadable keys (include/keys.lua); nil for a missing part
--
-- @include layout
-- @include keys

local id = ARGV[1]
local now = redis.call('TIME')
return {
  call('HGETALL', P_JOB .. id), get_string(P_ARQ_JOB .. id), get_string(P_ARQ_RESULT .. id),
  call('LRANGE', P_ATTEMPTS .. id, 0, -1), call('ZSCORE', K_SCHEDULE, id), now[1], now[2],
  unreadable_reply(),
}
