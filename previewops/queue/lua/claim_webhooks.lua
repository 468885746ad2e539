-- Takes messages that are due, for one attempt each. Whoever does not record its result in time loses them to others.
--
-- ARGV    1 time for one attempt in ms   2 maximum number   3 1 if all jobs have a receiver, else 0
--         4 time in ms for which ends are queued without another claim
-- Results seven per message: id, attempts with this one, job, project, state, url, end in server ms
--
-- @include core_keys
-- @include move_aside
-- @include webhooks

local lease_ms, most, all, kept_ms = tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[3], tonumber(ARGV[4])
-- Not at every claim: each write goes to the append-only file.
if stored_meta[5] ~= all or to_int(stored_meta[4], 0) < NOW_MS + kept_ms / 2 then
  call('HSET', K_META, 'webhooks_until', format_int(NOW_MS + kept_ms), 'webhook_all', all)
end
local reply = {}
for _, message in ipairs(call('ZRANGEBYSCORE', K_WEBHOOKS, '-inf', NOW_MS, 'LIMIT', 0, most)) do
  local fields = call('HMGET', P_WEBHOOK .. message, 'job', 'project', 'state', 'url', 'ended')
  if fields[1] then
    call('ZADD', K_WEBHOOKS, format_int(NOW_MS + lease_ms), message)
    reply[#reply + 1] = message
    reply[#reply + 1] = call('HINCRBY', P_WEBHOOK .. message, 'attempts', 1)
    for i = 1, 5 do
      reply[#reply + 1] = fields[i] or ''
    end
  else
    call('ZREM', K_WEBHOOKS, message)
  end
end
return reply
