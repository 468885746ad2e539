-- Renews one lease. The code shows whether the caller still holds it, which matters before an output is published.
--
-- ARGV    1 id   2 token   3 lease in ms
-- Results OK, ALREADY or STALE
--
-- @include maxmemory
-- @include move_aside
-- @include layout
-- @include lease

local code = check_lease(ARGV[1], ARGV[2])
if code == OK then
  mark_started(ARGV[1]) -- only a job that runs renews its lease by itself
  renew_lease(ARGV[1], ARGV[2], tonumber(ARGV[3]))
end
return code
