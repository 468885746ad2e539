-- Removes a worker that has exited and recovers every lease it held, which counts a crash for each
-- job that has started.
-- Scans the active set, which is as long as the fleet has slots; runs once per exited worker.
--
-- ARGV    1 worker id   2 maximum crashes   3 error message of the attempt   4 its fingerprint
--         5 event kind (worker-stopped | worker-lost)
-- Results recovered ids
-- Transitions active -> waiting, active -> dead
--
-- @include maxmemory
-- @include core_keys
-- @include move_aside
-- @include recover_job

local worker = ARGV[1]
local reply = {}
for _, id in ipairs(call('ZRANGE', K_ACTIVE, 0, -1)) do
  if call('HGET', P_JOB .. id, 'worker') == worker then
    recover_job(id, tonumber(ARGV[2]), ARGV[3], ARGV[4])
    reply[#reply + 1] = id
  end
end
call('ZREM', K_WORKERS, worker)
call('DEL', P_WORKER .. worker)
add_event(ARGV[5], 'worker', worker, 'message', ARGV[3], 'jobs', tostring(#reply))
flush_counters()
return reply
