-- Deletes dead letters permanently, with payload and history.
--
-- ARGV    1 cut-off in server ms, '' for now   2.. ids
-- Results one code per id: OK, NOT_FOUND or WRONG_STATE
-- Transitions dead -> deleted
--
-- @include maxmemory
-- @include core_keys
-- @include move_aside
-- @include dead_letters

local cut_off = tonumber(ARGV[1]) or NOW_MS
local reply, done = {}, 0
for i = 2, #ARGV do
  local id = ARGV[i]
  local job = call('HMGET', P_JOB .. id, 'state', 'finished', 'fingerprint', 'batch')
  if not job[1] then
    reply[#reply + 1] = NOT_FOUND
  elseif job[1] ~= 'dead' or to_int(job[2], 0) > cut_off then
    reply[#reply + 1] = WRONG_STATE
  else
    remove_from_dead_letters(id, job[3])
    leave_batch(job[4], id, 'dead')
    call('DEL', P_JOB .. id, P_ATTEMPTS .. id, P_ARQ_JOB .. id)
    done = done + 1
    reply[#reply + 1] = OK
  end
end
if done > 0 then
  count('discarded', done)
end
flush_counters()
return reply
