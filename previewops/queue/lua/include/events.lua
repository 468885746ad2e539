-- The stream is bounded; the counter `events` in the meta hash tells how many there ever were.
local EVENTS_KEPT = 10000

local function event(kind, ...)
  redis.call('XADD', K_EVENTS, 'MAXLEN', '~', EVENTS_KEPT, '*', 'kind', kind, 'at', digits(NOW_MS), ...)
  redis.call('HINCRBY', K_META, 'events', 1)
end
