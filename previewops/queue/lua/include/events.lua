-- @include time

-- The stream is bounded; the counter `events` in the meta hash counts all events ever. What an operator did is kept in a
-- stream of its own too, so that a storm of other events cannot push it out; maintain.lua trims that one.
local EVENTS_KEPT = 10000

local function names_operator(...)
  local fields = { ... }
  for i = 1, #fields, 2 do
    if fields[i] == 'who' then
      return fields[i + 1] ~= ''
    end
  end
  return false
end

local function add_event(kind, ...)
  call('XADD', K_EVENTS, 'MAXLEN', '~', EVENTS_KEPT, '*', 'kind', kind, 'at', format_int(NOW_MS), ...)
  call('HINCRBY', K_META, 'events', 1)
  if names_operator(...) then
    call('XADD', K_ACTIONS, '*', 'kind', kind, 'at', format_int(NOW_MS), ...)
  end
end
