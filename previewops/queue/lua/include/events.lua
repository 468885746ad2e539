-- @include time

-- The stream is bounded; the counter `events` in the meta hash counts all events ever.
local EVENTS_KEPT = 10000

local function add_event(kind, ...)
  call('XADD', K_EVENTS, 'MAXLEN', '~', EVENTS_KEPT, '*', 'kind', kind, 'at', format_int(NOW_MS), ...)
  call('HINCRBY', K_META, 'events', 1)
end
