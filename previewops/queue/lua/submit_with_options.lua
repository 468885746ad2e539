-- Submits a batch of jobs of which some have options: to replace the payload of a known id, or to run later. Otherwise like
-- submit.lua, which costs less.
--
-- ARGV    1 maximum backlog (waiting and delayed jobs)
--         2 arq function name
--         3 submits that the caller rejected since its last call, because they break the contract
--         4 conflicts that the caller found after COMPARE
--         5.. seven per job: id, priority, project, body digest, payload as JSON, '' or a quota as JSON as in submit.lua,
--             and '' or options as JSON: due, the earliest start (include/delay.lua); who replaces the payload of a known
--             id (missing: nobody); compared, true if the caller has compared the body after COMPARE; and batch
-- Results three per job, as in submit.lua, or: REPLACED, the new state, the state before;
--         BATCH, '', and why the job cannot join the batch (include/batches.lua)
-- Transitions new -> waiting, new -> delayed,
--             waiting -> delayed, delayed -> waiting, delayed -> delayed, active -> waiting, active -> delayed,
--             completed -> waiting, completed -> delayed, cancelled -> waiting, cancelled -> delayed,
--             dead -> waiting, dead -> delayed
--
-- @include submit_jobs
-- @include replace_job

local function options_at(i)
  return ARGV[i + 6] ~= '' and cjson.decode(ARGV[i + 6]) or {}
end

local function rejects_batch(i)
  local batch = options_at(i).batch
  local problem = batch and batch_problem(batch, ARGV[i + 2])
  if problem then
    reject_submit(BATCH, 'conflict', '', problem)
  end
  return problem
end

local function place(i)
  local options = options_at(i)
  if options.batch then
    join_batch(options.batch, ARGV[i], ARGV[i + 2])
  end
  local due_ms = parse_due(options.due)
  if not due_ms or due_ms <= NOW_MS then
    return 'waiting'
  end
  delay_waiting(ARGV[i], ARGV[i + 1], due_ms)
  return 'delayed'
end

local ENDED = { completed = 1, cancelled = 1, dead = 1 }
local replaced = 0

local function replace(i, job)
  local id, project, digest, options = ARGV[i], ARGV[i + 2], ARGV[i + 3], options_at(i)
  local state, stored_digest = job[1], job[2] or ''
  if not options.who or state and (not STATES[state] or stored_digest == digest) then
    return false
  elseif stored_digest == '' and not options.compared then
    return false -- the reply is COMPARE
  end
  local before = call('HGET', P_JOB .. id, 'batch')
  local joins = options.batch and options.batch ~= before
  if joins and rejects_batch(i) then
    return true
  end
  state = state or admit_early(id)
  if not state or call('HGET', P_JOB .. id, 'project') ~= project then
    return false -- the reply is CONFLICT
  elseif ENDED[state] and is_rejected(ARGV[i + 5]) then
    return true
  end
  if joins then
    leave_batch(before, id, state)
  end
  local new_state = replace_job(id, state, ARGV[i + 1], project, digest, ARGV[i + 4], func, parse_due(options.due), options.who)
  if joins then
    join_batch(options.batch, id, project)
  end
  backlog = backlog + ((ENDED[state] or state == 'active') and 1 or 0)
  replaced = replaced + 1
  add_reply(REPLACED, new_state, state)
  return true
end

submit_jobs(7, replace, rejects_batch, place)
if replaced > 0 then
  wake_worker()
end
flush_counters()
return reply
