-- Submits a batch of jobs, idempotently by id and bounded by the backlog, and counts what is turned away by reason.
--
-- KEYS    1 the queue; all others by name (include/keys.lua)
-- ARGV    1 most jobs that may wait or back off
--         2 arq function name
--         3 submits that the caller has turned away since its last call, as they break the contract
--         4 those that it found to be conflicts, of what was answered by COMPARE
--         5.. five per job: id, priority, project, body digest, payload as JSON
-- Results three per job: code, state, detail
--         OK         accepted                     waiting      backlog
--         DUPLICATE  that very job is there       its state    when it ended in server ms, or ''
--         CONFLICT   the id has another body      its state, or 'in another queue'   the same
--         COMPARE    body put by a stock client   its state    that body, for the caller to compare
--         FULL       not accepted                 ''           backlog
--
-- @include keys
-- @include time
-- @include counters
-- @include waiting

local limit, func = tonumber(ARGV[1]), ARGV[2]
local backlog = waiting_total() + redis.call('ZCOUNT', K_SCHEDULE, 0, '+inf')
local reply, accepted = {}, 0

local function answer(code, state, detail)
  local n = #reply
  reply[n + 1], reply[n + 2], reply[n + 3] = code, state, detail
end

local function refuse(code, reason, state, detail)
  total_refused(reason, 1)
  answer(code, state, detail)
end

local function meet_known(id, digest, state, known, ended)
  if known == digest then
    answer(DUPLICATE, state, ended)
  elseif known ~= '' then
    refuse(CONFLICT, 'conflict', state, ended)
  else
    answer(COMPARE, state, text_at(P_ARQ_JOB .. id) or text_at(P_ARQ_RESULT .. id) or '')
  end
end

-- A stock client's job that nobody has taken in yet. Ids are arq's, and arq shares them between all queues.
local function meet_foreign(id)
  local due_ms = redis.call('ZSCORE', K_SCHEDULE, id)
  if due_ms then
    meet_known(id, nil, tonumber(due_ms) > NOW_MS and 'delayed' or 'waiting', '', '')
  else
    refuse(CONFLICT, 'conflict', 'in another queue', '')
  end
end

for reason, amount in pairs({ invalid = tonumber(ARGV[3]), conflict = tonumber(ARGV[4]) }) do
  if amount > 0 then
    total_refused(reason, amount)
  end
end
for i = 5, #ARGV, 5 do
  local id, priority, project, digest, payload = ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3], ARGV[i + 4]
  local job = redis.call('HMGET', P_JOB .. id, 'state', 'digest', 'finished')
  if job[1] then
    meet_known(id, digest, job[1], job[2], job[3] or '')
  elseif redis.call('EXISTS', P_ARQ_JOB .. id, P_ARQ_RESULT .. id) > 0 then
    meet_foreign(id)
  elseif backlog >= limit then
    refuse(FULL, 'full', '', tostring(backlog))
  else
    local order = next_sequence(1)
    redis.call('SET', P_ARQ_JOB .. id,
      '{"t":null,"f":"' .. func .. '","a":[' .. payload .. '],"k":{},"et":' .. digits(NOW_MS) .. '}')
    redis.call('HSET', P_JOB .. id, 'state', 'waiting', 'priority', priority, 'project', project, 'digest', digest,
      'accepted', digits(NOW_MS), 'order', digits(order), 'attempts', 0, 'crashes', 0)
    put_waiting(id, priority, order, NOW_MS)
    backlog = backlog + 1
    accepted = accepted + 1
    answer(OK, 'waiting', tostring(backlog))
  end
end

if accepted > 0 then
  count('accepted', accepted)
  wake()
end
write_tally()
return reply
