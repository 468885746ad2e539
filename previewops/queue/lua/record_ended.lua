-- Adds the completed jobs that a worker has counted since its last report. A report is counted once if it is repeated.
--
-- ARGV    1 worker id   2 number of the report, which grows
--         then five per count: project, priority, output format, field (include/breakdown.lua), amount
-- Results OK, or ALREADY if the report was counted before
--
-- @include maxmemory
-- @include layout
-- @include move_aside
-- @include breakdown

local record = P_WORKER .. ARGV[1]
if to_int(call('HGET', record, 'ended'), 0) >= tonumber(ARGV[2]) then
  return ALREADY
end
for at = 3, #ARGV, 5 do
  local format = FORMATS[ARGV[at + 2]] and ARGV[at + 2] or 'other'
  add_ended(ARGV[at], ARGV[at + 1], format, ARGV[at + 3], tonumber(ARGV[at + 4]))
end
call('HSET', record, 'ended', ARGV[2])
flush_counters()
return OK
