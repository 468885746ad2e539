-- The supervisors as of their last report.
--
-- KEYS    1 the queue; all others by name (include/keys.lua)
-- ARGV    1 how many at most
-- Results server now in ms, supervisors (id, last report in ms, info JSON)*
--
-- @include keys
-- @include time

local found = {}
local seen = redis.call('ZREVRANGEBYSCORE', K_SUPERVISORS, '+inf', 0, 'WITHSCORES', 'LIMIT', 0, tonumber(ARGV[1]))
for i = 1, #seen, 2 do
  found[#found + 1] = { seen[i], seen[i + 1], redis.call('HGET', P_SUPERVISOR .. seen[i], 'info') or '{}' }
end
return { digits(NOW_MS), found }
