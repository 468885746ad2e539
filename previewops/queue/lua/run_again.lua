-- Runs completed or cancelled jobs again, with their stored payloads and under their ids. The worker renders: it does not
-- take an earlier result from its cache.
--
-- ARGV    1 cut-off in server ms, '' for now: jobs that ended later are left alone   2 who, for an event of each job; '' if
--         the caller records one for all   3 reason   4 the projects whose jobs may run again as JSON, or '' for all
--         5.. ids
-- Results two per id: code, state before. Codes: OK, NOT_FOUND (with a state: the payload is not stored any more),
--         WRONG_STATE
-- Transitions completed -> waiting, cancelled -> waiting
--
-- @include maxmemory
-- @include core_keys
-- @include move_aside
-- @include accept_again
-- @include body
-- @include events
-- @include result
-- @include visible_projects

local cut_off, who, reason, is_visible = tonumber(ARGV[1]) or NOW_MS, ARGV[2], ARGV[3], project_matcher(ARGV[4])
local RENDERED = '{"reuse":false}' -- arguments by name of render_preview (worker/engine/jobs.py)
local reply, done = {}, 0

-- The parts of the call that a result record repeats; nil if it has none with an argument.
local function read_call(id)
  local text = get_string(P_ARQ_RESULT .. id)
  local read, record = pcall(cjson.decode, text or '')
  if not read or type(record) ~= 'table' or type(record.a) ~= 'table' or #record.a == 0 then
    return nil
  end
  return json_members(text)
end

local function run_again(id)
  local job = call('HMGET', P_JOB .. id, 'state', 'project', 'priority', 'finished')
  local state, project = job[1], job[2] or ''
  if not state or not is_visible(project) then
    return NOT_FOUND, ''
  elseif state ~= 'completed' and state ~= 'cancelled' or to_int(job[4], 0) > cut_off then
    return WRONG_STATE, state
  end
  local stored = read_call(id)
  if not stored then
    return NOT_FOUND, state
  end
  accept_again(id, state, class_of(job[3]), project)
  store_call(id, stored.f, stored.a, RENDERED)
  start_over(id)
  if who ~= '' then
    add_event('run-again', 'job', id, 'was', state, 'who', who, 'why', reason)
  end
  done = done + 1
  return OK, state
end

for i = 5, #ARGV do
  reply[#reply + 1], reply[#reply + 2] = run_again(ARGV[i])
end
if done > 0 then
  wake_worker()
end
flush_counters()
return reply
