-- @include time

-- Builds arq's result record (arq.jobs.serialize_result) from arq's job record, so that stock arq clients can read it.
-- The job record is a JSON object {t, f, a, k, et}. Its text is copied, because cjson would turn empty arrays into
-- objects.

-- The JSON text of each member of a valid JSON object, by name.
local function json_members(text)
  local texts, depth, at, name, from = {}, 0, 1, nil, nil
  while true do
    local i, _, mark = string.find(text, '(["{}%[%],:])', at)
    if not i then
      return texts
    end
    at = i + 1
    if mark == '"' then
      repeat
        local k, _, character = string.find(text, '(["\\])', at)
        if not k then
          return texts
        end
        at = character == '"' and k + 1 or k + 2
      until character == '"'
      if depth == 1 and not from then
        name = string.sub(text, i + 1, at - 2)
      end
    elseif depth == 1 and mark == ':' then
      from = i + 1
    elseif depth == 1 and from and (mark == ',' or mark == '}') then
      texts[name], from = string.sub(text, from, i - 1), nil
    end
    if mark == '{' or mark == '[' then
      depth = depth + 1
    elseif mark == '}' or mark == ']' then
      depth = depth - 1
    end
  end
end

local function is_unreadable(body)
  local read, job = pcall(cjson.decode, body)
  return not (read and type(job) == 'table' and job.f and job.a and job.k and job.et)
end

-- The job record with the number of this try and without its closing brace.
local function open_record(body, try)
  local opened, replaced = string.gsub(body, '^{"t":%s*%w+(,%s*"f":)', '{"t":' .. try .. '%1', 1)
  if replaced == 1 then
    return (string.gsub(opened, '}%s*$', '', 1))
  end
  -- Another client's spacing or member order.
  local part = json_members(body)
  if part.f and part.a and part.k and part.et then
    return '{"t":' .. try .. ',"f":' .. part.f .. ',"a":' .. part.a .. ',"k":' .. part.k .. ',"et":' .. part.et
  end
  return nil
end

-- Most ids are plain, and a search is cheaper than encoding.
local function json_string(text)
  return string.find(text, '[^%w_.:-]') and cjson.encode(text) or '"' .. text .. '"'
end

local function build_arq_result(id, body, ok, result_json, try, started_ms, accepted_ms)
  local opened = nil
  -- The body of a completed job is valid; a job may have failed because of its body.
  if body and (ok or not is_unreadable(body)) then
    opened = open_record(body, try)
  end
  opened = opened or '{"t":' .. try .. ',"f":"render_preview","a":[],"k":{},"et":' .. accepted_ms
  return opened .. ',"s":' .. (ok and 'true' or 'false') .. ',"r":' .. result_json .. ',"st":' .. started_ms
    .. ',"ft":' .. format_int(NOW_MS) .. ',"q":' .. json_string(K_SCHEDULE) .. ',"id":' .. json_string(id) .. '}'
end
