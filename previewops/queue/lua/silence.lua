-- Silences a health check for a time, or ends its silence.
--
-- ARGV    1 check   2 until when in ms after now, 0 ends the silence   3 highest status that is silenced   4 who
--         5 reason
-- Results OK and the end (server ms), or ALREADY and 0 if there was no silence to end
--
-- @include maxmemory
-- @include core_keys
-- @include move_aside
-- @include events

local field = 'silence:' .. ARGV[1]
if ARGV[2] == '0' then
  if call('HDEL', K_META, field) == 0 then
    return { ALREADY, '0' }
  end
  add_event('unsilenced', 'check', ARGV[1], 'who', ARGV[4], 'why', ARGV[5])
  return { OK, '0' }
end
local until_ms = format_int(NOW_MS + tonumber(ARGV[2]))
call('HSET', K_META, field, cjson.encode({ ['until'] = until_ms, level = ARGV[3], who = ARGV[4], reason = ARGV[5] }))
add_event('silenced', 'check', ARGV[1], 'untilMs', until_ms, 'level', ARGV[3], 'who', ARGV[4], 'why', ARGV[5])
return { OK, until_ms }
