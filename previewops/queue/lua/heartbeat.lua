-- Records that a worker is alive, renews its leases, and raises the data-loss alarm if the queue is a new one: Redis
-- was flushed, or restarted without its data. Only the first worker that detects this raises the alarm.
--
-- ARGV    1 worker id   2 worker info as JSON   3 lease in ms   4 birth of the queue at the previous heartbeat, or ''
--         then four per job: id, token, progress 0..1, phase; both are '' for a claim ahead that waits for a slot
-- Results server now in ms, birth of the queue, ms since a worker last ran maintain or -1, then the ids whose lease is
--         lost
--
-- @include maxmemory
-- @include move_aside
-- @include layout
-- @include events
-- @include lease
-- @include report

local worker, lease_ms, known = ARGV[1], tonumber(ARGV[3]), ARGV[4]

local meta = call('HMGET', K_META, 'born', 'upkept')
local born, upkept = meta[1], to_int(meta[2])
if not to_int(born) then
  -- A damaged one is restored; a missing one means that the queue is new.
  born = (born or unreadable[K_META]) and known ~= '' and known or format_int(NOW_US)
  call('HSET', K_META, 'born', born)
end
if known ~= '' and known ~= born and call('HSETNX', K_META, 'lost', format_int(NOW_MS)) == 1 then
  add_event('data-lost', 'worker', worker, 'message', 'the queue is not the one of the previous heartbeat')
end

-- Writes what has changed: every write goes to the append-only file.
local function report_progress(id, progress, phase)
  local job = call('HMGET', P_JOB .. id, 'progress', 'phase', 'ahead')
  if progress ~= '' and (job[1] ~= progress or job[2] ~= phase) then
    call('HSET', P_JOB .. id, 'progress', progress, 'phase', phase)
  end
  if progress ~= '' and job[3] then
    mark_started(id)
  end
end

call('ZADD', K_WORKERS, format_int(NOW_MS), worker)
store_report(P_WORKER .. worker, ARGV[2])
local reply = { format_int(NOW_MS), born, upkept and upkept <= NOW_MS and format_int(NOW_MS - upkept) or '-1' }
for i = 5, #ARGV, 4 do
  local id, token = ARGV[i], ARGV[i + 1]
  if check_lease(id, token) == OK then
    renew_lease(id, token, lease_ms)
    report_progress(id, ARGV[i + 2], ARGV[i + 3])
  else
    reply[#reply + 1] = id
  end
end
return reply
