-- Takes messages that are due, for one attempt each. Whoever does not record its result in time loses them to others.
--
-- A receiver gets another message only while it has fewer under way than slots are free, so slow ones leave slots for
-- others. Of a backlog, the oldest messages, the newest and some in between are examined: another receiver's may be
-- behind those of a slow one.
--
-- ARGV    1 time for one attempt in ms   2 free slots   3 1 if all jobs have a receiver, else 0
--         4 time in ms for which ends are queued without another claim
--         5 which messages in between to examine, from 0 to 1   6.. pairs: receiver, its messages under way
-- Results 1 if messages that are due were left, else 0, then eight per message: id, attempts with this one, job, project, state, url, end in server ms, batch
--
-- @include core_keys
-- @include move_aside
-- @include webhooks

local EXAMINED = 64

local lease_ms, free, all, kept_ms = tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[3], tonumber(ARGV[4])
local under_way = {}
for i = 6, #ARGV, 2 do
  under_way[ARGV[i]] = tonumber(ARGV[i + 1])
end
local reply = { 0 }

local function take(message, fields)
  call('ZADD', K_WEBHOOKS, format_int(NOW_MS + lease_ms), message)
  reply[#reply + 1] = message
  reply[#reply + 1] = call('HINCRBY', P_WEBHOOK .. message, 'attempts', 1)
  for i = 1, 6 do
    reply[#reply + 1] = fields[i] or ''
  end
end

local function take_some(messages)
  for _, message in ipairs(messages) do
    local fields = call('HMGET', P_WEBHOOK .. message, 'job', 'project', 'state', 'url', 'ended', 'batch')
    local receiver = receiver_of_url(fields[4] or '')
    local count = under_way[receiver] or 0
    if not fields[1] then
      call('ZREM', K_WEBHOOKS, message)
    elseif count < free then
      take(message, fields)
      under_way[receiver], free = count + 1, free - 1
    else
      reply[1] = 1
    end
  end
end

-- Not at every claim: each write goes to the append-only file.
if stored_meta[5] ~= all or to_int(stored_meta[4], 0) < NOW_MS + kept_ms / 2 then
  call('HSET', K_META, 'webhooks_until', format_int(NOW_MS + kept_ms), 'webhook_all', all)
end
if free == 0 then
  reply[1] = 1 -- not examined
else
  local oldest = call('ZRANGEBYSCORE', K_WEBHOOKS, '-inf', NOW_MS, 'LIMIT', 0, EXAMINED)
  take_some(oldest)
  if #oldest == EXAMINED then
    reply[1] = 1
  end
  if free > 0 and #oldest == EXAMINED then
    take_some(call('ZREVRANGEBYSCORE', K_WEBHOOKS, NOW_MS, '-inf', 'LIMIT', 0, EXAMINED))
    local skipped = math.floor(call('ZCOUNT', K_WEBHOOKS, '-inf', NOW_MS) * tonumber(ARGV[5]))
    take_some(call('ZRANGEBYSCORE', K_WEBHOOKS, '-inf', NOW_MS, 'LIMIT', skipped, EXAMINED))
  end
end
return reply
