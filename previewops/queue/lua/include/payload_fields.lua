-- @include keys

-- Adds requestId and title of a job's payload to its fields, for filters that name them. `texts` are in every payload that
-- matches: others are not decoded. Returns the length of the payload, of which most of the time depends.
local function add_payload_fields(job, texts)
  local ended = job.state == 'completed' or job.state == 'cancelled'
  local body = get_string((ended and P_ARQ_RESULT or P_ARQ_JOB) .. job.id) or ''
  local lowered = #texts > 0 and string.lower(body)
  for _, text in ipairs(texts) do
    if not string.find(lowered, text, 1, true) then
      return #body
    end
  end
  local read, record = pcall(cjson.decode, body)
  local payload = read and type(record) == 'table' and type(record.a) == 'table' and record.a[1]
  if type(payload) == 'table' then
    local request = payload.previewRequest
    local title = type(request) == 'table' and request.title
    job.request = type(payload.requestId) == 'string' and payload.requestId
    job.title = type(title) == 'string' and title
  end
  return #body
end
