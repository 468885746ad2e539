-- Moves dead letters to the group of another fingerprint, and stores how far the regrouping has come. A letter that was
-- requeued, discarded or regrouped meanwhile stays as it is.
--
-- ARGV    1 time of death in ms up to which letters have been compared   2.. id, stored fingerprint, new fingerprint
-- Results number of letters moved
--
-- @include core_keys
-- @include move_aside
-- @include dead_letters

local moved = 0
for i = 2, #ARGV, 3 do
  local id, stored, new = ARGV[i], ARGV[i + 1], ARGV[i + 2]
  local job = call('HMGET', P_JOB .. id, 'state', 'fingerprint', 'finished')
  local died_ms = to_int(job[3])
  if job[1] == 'dead' and (job[2] or '') == stored and died_ms then
    call('ZREM', P_DEAD_GROUP .. stored, id)
    count_group(stored)
    call('HSET', P_JOB .. id, 'fingerprint', new)
    index_dead_letter(id, new, died_ms)
    moved = moved + 1
  end
end
call('HSET', K_META, 'regrouped', ARGV[1])
flush_counters()
return moved
