-- Moves a failed job to the dead-letter queue.
--
-- ARGV    1 id   2 token   3 counter (attempts | crashes)   4 attempt as JSON   5 cause
--         6 error class   7 error code   8 message   9 fingerprint   10 traceback of the attempt as JSON, or ''
-- Results OK, ALREADY or STALE
-- Transitions active -> dead
--
-- @include maxmemory
-- @include core_keys
-- @include move_aside
-- @include attempts
-- @include lease
-- @include dead_letters

local id, token, counter, cause = ARGV[1], ARGV[2], ARGV[3], ARGV[5]
local code = check_lease(id, token)
if code ~= OK then
  return code
end
end_lease(id)
call('HINCRBY', P_JOB .. id, counter, 1)
add_attempt(id, ARGV[4], ARGV[10])
if counter == 'crashes' then
  count('crashed')
end
count_by_priority('failed', call('HGET', P_JOB .. id, 'priority'),
  counter == 'crashes' and 'crash' or cause == 'permanent' and 'permanent' or 'error')
move_to_dead_letters(id, cause, ARGV[6], ARGV[7], ARGV[8], ARGV[9])
flush_counters()
return OK
