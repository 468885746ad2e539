-- arq's result record (arq.jobs.serialize_result) made from arq's job record, so that a stock client can read it.
-- The body is a JSON object {t, f, a, k, et}; cjson would turn its empty arrays into objects, so the text is
-- extended instead of being decoded and encoded again.
local function extend(body, try, tail)
  local opened, replaced = string.gsub(body, '^{"t":%s*[%w]+', '{"t":' .. try, 1)
  if replaced == 0 then
    -- Another key order: the later of two equal keys counts for every JSON reader.
    tail = tail .. ',"t":' .. try
  end
  return (string.gsub(opened, '}%s*$', '', 1)) .. tail .. '}'
end

local function arq_result(id, body, ok, result_json, try, started_ms, accepted_ms)
  local tail = ',"s":' .. (ok and 'true' or 'false') .. ',"r":' .. result_json .. ',"st":' .. started_ms
    .. ',"ft":' .. digits(NOW_MS) .. ',"q":' .. cjson.encode(K_SCHEDULE) .. ',"id":' .. cjson.encode(id)
  if not ok then
    local read, job = pcall(cjson.decode, body or '')
    if not (read and type(job) == 'table' and job.f and job.a and job.k and job.et) then
      body = '{"t":null,"f":"render_preview","a":[],"k":{},"et":' .. accepted_ms .. '}'
    end
  end
  return extend(body, try, tail)
end
