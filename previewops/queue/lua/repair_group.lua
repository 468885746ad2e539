-- Makes the group of one error fingerprint agree with the records: removes members that are not its dead letters, and
-- stores its size.
--
-- ARGV    1 fingerprint   2.. members that do not seem to belong to it
-- Results OK
--
-- @include layout
-- @include move_aside
-- @include dead_letters

local fingerprint = ARGV[1]
for i = 2, #ARGV do
  local job = call('HMGET', P_JOB .. ARGV[i], 'state', 'fingerprint')
  if job[1] ~= 'dead' or job[2] ~= fingerprint then
    call('ZREM', P_DEAD_GROUP .. fingerprint, ARGV[i])
  end
end
count_group(fingerprint)
flush_counters()
return OK
