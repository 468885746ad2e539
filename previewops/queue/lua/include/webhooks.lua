-- @include layout
-- @include time

-- Messages about the end of a job, for the receivers of webhooks. The transition that ends the job queues them, so none
-- is lost. Workers with a receiver renew `webhooks_until`; without them nothing is queued that nobody would send.

-- The receiver that a job names for itself, or '' if it names none.
local function url_of_job(body)
  if not body or not string.find(body, '"webhook"', 1, true) then
    return ''
  end
  local decoded, value = pcall(cjson.decode, body)
  for _, name in ipairs({ 'a', 1, 'previewRequest', 'options', 'webhook' }) do
    value = decoded and type(value) == 'table' and value[name]
  end
  return type(value) == 'string' and value or ''
end

-- The receiver of an address: scheme, host and port; '' for the receiver of all jobs.
local function receiver_of_url(url)
  return string.match(url, '^%a+://[^/?#]*') or ''
end

-- `id` is '' for a message about a batch.
local function queue_message(id, project, state, url, batch)
  local message = 'msg_' .. format_int(next_sequence(1))
  call('HSET', P_WEBHOOK .. message, 'job', id, 'project', project or '', 'state', state, 'url', url,
    'ended', format_int(NOW_MS), 'since', format_int(NOW_MS), 'attempts', 0)
  if batch then
    call('HSET', P_WEBHOOK .. message, 'batch', batch)
  end
  call('ZADD', K_WEBHOOKS, format_int(NOW_MS), message)
end

local function has_sender()
  return to_int(stored_meta[4], 0) >= NOW_MS
end

local function queue_webhooks(id, project, state, body)
  if not has_sender() then
    return
  end
  if stored_meta[5] == '1' then
    queue_message(id, project, state, '')
  end
  local url = url_of_job(body)
  if url ~= '' then
    queue_message(id, project, state, url)
  end
end

local function queue_batch_webhooks(batch, project, url)
  if not has_sender() then
    return
  end
  if stored_meta[5] == '1' then
    queue_message('', project, 'completed', '', batch)
  end
  if url ~= '' then
    queue_message('', project, 'completed', url, batch)
  end
end
