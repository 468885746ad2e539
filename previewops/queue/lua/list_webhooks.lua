-- Lists messages that wait to be sent, or that failed, the oldest first.
--
-- ARGV    1 failed or waiting   2 maximum number
-- Results number of all, then nine per message: id, attempts, job, project, state, url, end in server ms, batch, error
--
-- @include layout
-- @include webhooks

local index = ARGV[1] == 'failed' and K_FAILED_WEBHOOKS or K_WEBHOOKS
local reply = { call('ZCARD', index) }
for _, message in ipairs(call('ZRANGEBYSCORE', index, '-inf', '+inf', 'LIMIT', 0, tonumber(ARGV[2]))) do
  reply[#reply + 1] = message
  local fields = call('HMGET', P_WEBHOOK .. message, 'attempts', 'job', 'project', 'state', 'url', 'ended', 'batch',
    'error')
  for i = 1, 8 do
    reply[#reply + 1] = fields[i] or ''
  end
end
return reply
