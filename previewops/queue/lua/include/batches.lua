-- @include webhooks

-- Batches: jobs of one project that end as one thing. The record of a job names its batch, whose hash counts the jobs
-- that have not ended (`pending`) and those that have, by state. Only ends and new starts of jobs are counted, so that
-- claims cost nothing, nor do jobs without a batch.
-- A batch ends when it is closed, so that no job joins it any more, and no job is pending. An ended job that runs again
-- lets its batch run again; each end queues one message. maintain.lua deletes batches, by the time in K_BATCHES.
local COUNTED = { completed = 'completed', dead = 'dead', cancelled = 'cancelled' }

-- Ends a batch if it is closed and no job is pending.
local function end_batch(batch)
  local key = P_BATCH .. batch
  local fields = call('HMGET', key, 'pending', 'closed', 'ended', 'project', 'url')
  if to_int(fields[1], 0) > 0 then
    return
  end
  call('ZADD', K_BATCHES, format_int(NOW_MS), batch)
  if fields[2] and not fields[3] then
    call('HSET', key, 'ended', format_int(NOW_MS))
    queue_batch_webhooks(batch, fields[4], fields[5] or '')
  end
end

-- Counts that a job of a batch has gone from one state to another. `batch` is false for jobs without one.
local function move_in_batch(batch, from, to)
  from, to = COUNTED[from] or 'pending', COUNTED[to] or 'pending'
  if not batch or from == to or call('EXISTS', P_BATCH .. batch) == 0 then
    return -- a batch that has expired stays so
  end
  call('HINCRBY', P_BATCH .. batch, from, -1)
  call('HINCRBY', P_BATCH .. batch, to, 1)
  if to == 'pending' then
    call('HDEL', P_BATCH .. batch, 'ended')
  else
    end_batch(batch)
  end
end

-- Removes a job in `state` from its batch.
local function leave_batch(batch, id, state)
  if not batch then
    return
  end
  call('HDEL', P_JOB .. id, 'batch')
  call('ZREM', P_BATCH_JOBS .. batch, id)
  if call('EXISTS', P_BATCH .. batch) == 1 then
    call('HINCRBY', P_BATCH .. batch, COUNTED[state] or 'pending', -1)
    if not COUNTED[state] then
      end_batch(batch)
    end
  end
end

-- Creates a batch if there is none.
local function open_batch(batch, project)
  if call('HSETNX', P_BATCH .. batch, 'project', project) == 1 then
    call('HSET', P_BATCH .. batch, 'created', format_int(NOW_MS))
    call('ZADD', K_BATCHES, format_int(NOW_MS), batch)
  end
end

-- Why a job of a project cannot join a batch: 'project', 'closed' or nil.
local function batch_problem(batch, project)
  local fields = call('HMGET', P_BATCH .. batch, 'project', 'closed')
  return fields[1] and (fields[1] ~= project and 'project' or fields[2] and 'closed') or nil
end

-- Removes ids whose records have expired from the jobs of a batch, which may stay open for ever: some of those that it finds
-- at random with each job that joins, so at most about half of the ids have no record.
local CHECKED_PER_JOB = 2

local function remove_expired_jobs(batch)
  local key = P_BATCH_JOBS .. batch
  for _, id in ipairs(call('ZRANDMEMBER', key, CHECKED_PER_JOB)) do
    if call('EXISTS', P_JOB .. id) == 0 then
      call('ZREM', key, id)
    end
  end
end

-- Adds a pending job. The first job that names a receiver of webhooks gives it to the batch.
local function join_batch(batch, id, project)
  open_batch(batch, project)
  call('HSET', P_JOB .. id, 'batch', batch)
  call('ZADD', P_BATCH_JOBS .. batch, format_int(next_sequence(1)), id)
  call('HINCRBY', P_BATCH .. batch, 'pending', 1)
  remove_expired_jobs(batch)
  local url = url_of_job(get_string(P_ARQ_JOB .. id))
  if url ~= '' then
    call('HSETNX', P_BATCH .. batch, 'url', url)
  end
end
