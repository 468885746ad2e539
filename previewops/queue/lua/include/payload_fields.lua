-- @include keys

-- Whether a payload may match, as filter_matcher describes `texts`.
local function may_match(lowered, texts)
  for _, text in ipairs(texts) do
    if (string.find(lowered, text, 1, true) ~= nil) == (texts.any == true) then
      return texts.any == true
    end
  end
  return not texts.any or #texts == 0
end

-- Adds requestId and title of a job's payload to its fields, for filters that name them. Payloads that cannot match are not
-- decoded. Returns the length of the payload, on which most of the time depends.
local function add_payload_fields(job, texts)
  local ended = job.state == 'completed' or job.state == 'cancelled'
  local body = get_string((ended and P_ARQ_RESULT or P_ARQ_JOB) .. job.id) or ''
  if #texts > 0 and not may_match(string.lower(body), texts) then
    return #body
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
