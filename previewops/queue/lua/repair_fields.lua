-- Deletes fields of a hash of counters that are not numbers, or of the project limits that are none. The event has the values.
--
-- ARGV    1 key   2.. fields
-- Results number of deleted fields
--
-- @include layout
-- @include events
-- @include move_aside

local function is_readable_field(value)
  if ARGV[1] == K_PROJECT_LIMITS then
    local weight, max_active = string.match(value, '^(%d*):(%d*)$')
    return weight and #weight <= 15 and #max_active <= 15
  end
  return is_counter(value)
end

local removed = 0
for i = 2, #ARGV do
  local value = call('HGET', ARGV[1], ARGV[i])
  if value and not is_readable_field(value) then
    call('HDEL', ARGV[1], ARGV[i])
    removed = removed + 1
    add_event('repaired', 'key', ARGV[1], 'field', string.sub(ARGV[i], 1, 100), 'message', string.sub(value, 1, 200))
  end
end
return removed
