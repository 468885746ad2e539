-- @include batches
-- @include counters
-- @include quota
-- @include waiting

-- A job that has ended runs again from its beginning.

-- Readers see the bundle of a completed job until the next one is published. A dry run has none.
local function note_bundle(id)
  local read, result = pcall(cjson.decode, get_string(P_ARQ_RESULT .. id) or '')
  local payload = read and type(result) == 'table' and type(result.a) == 'table' and result.a[1]
  if type(payload) == 'table' and payload.dryRun ~= true then
    call('HSET', P_JOB .. id, 'previous', call('HGET', P_JOB .. id, 'finished') or format_int(NOW_MS))
  end
end

-- Accepts a completed or cancelled job a second time. Its caller stores the body.
local function accept_again(id, state, class, project)
  if state == 'completed' then
    note_bundle(id)
  end
  local order = next_sequence(1)
  call('ZREM', K_COMPLETED, id)
  call('ZREM', K_CANCELLED, id)
  call('DEL', P_ARQ_RESULT .. id)
  call('HDEL', P_JOB .. id, 'finished', 'reason', 'token')
  call('HSET', P_JOB .. id, 'state', 'waiting', 'accepted', format_int(NOW_MS), 'order', format_int(order))
  add_waiting(id, class, project, order, NOW_MS)
  add_to_quota(id, project)
  move_in_batch(call('HGET', P_JOB .. id, 'batch'), state, 'waiting')
  count('accepted')
end

-- Forgets what the record has of the run before. The attempt history stays.
local function start_over(id)
  call('HDEL', P_JOB .. id, 'uncounted', 'claimed', 'worker', 'progress', 'phase')
  call('HSET', P_JOB .. id, 'attempts', 0, 'crashes', 0)
end
