-- arq's result record (arq.jobs.serialize_result) made from arq's job record, so that a stock client can read it.
-- The job record is a JSON object {t, f, a, k, et}; cjson would turn its empty arrays into objects, so its text is
-- carried over instead of being decoded and encoded again.

-- The texts of the members of a JSON object by name. For an object that a JSON reader has accepted.
local function members(text)
  local found, depth, at, name, from = {}, 0, 1, nil, nil
  while true do
    local i, _, mark = string.find(text, '(["{}%[%],:])', at)
    if not i then
      return found
    end
    at = i + 1
    if mark == '"' then
      repeat
        local k, _, met = string.find(text, '(["\\])', at)
        if not k then
          return found
        end
        at = met == '"' and k + 1 or k + 2
      until met == '"'
      if depth == 1 and not from then
        name = string.sub(text, i + 1, at - 2)
      end
    elseif depth == 1 and mark == ':' then
      from = i + 1
    elseif depth == 1 and from and (mark == ',' or mark == '}') then
      found[name], from = string.sub(text, from, i - 1), nil
    end
    if mark == '{' or mark == '[' then
      depth = depth + 1
    elseif mark == '}' or mark == ']' then
      depth = depth - 1
    end
  end
end

local function unreadable(body)
  local read, job = pcall(cjson.decode, body)
  return not (read and type(job) == 'table' and job.f and job.a and job.k and job.et)
end

-- The record without its closing brace and with the number of this try.
local function opened_record(body, try)
  local opened, replaced = string.gsub(body, '^{"t":%s*%w+(,%s*"f":)', '{"t":' .. try .. '%1', 1)
  if replaced == 1 then
    return (string.gsub(opened, '}%s*$', '', 1))
  end
  -- Spaced or ordered otherwise than arq and we do.
  local part = members(body)
  if part.f and part.a and part.k and part.et then
    return '{"t":' .. try .. ',"f":' .. part.f .. ',"a":' .. part.a .. ',"k":' .. part.k .. ',"et":' .. part.et
  end
  return nil
end

-- Most ids are plain: looking is cheaper than encoding.
local function in_json(text)
  return string.find(text, '[^%w_.:-]') and cjson.encode(text) or '"' .. text .. '"'
end

local function arq_result(id, body, ok, result_json, try, started_ms, accepted_ms)
  local opened = nil
  -- Whoever completed a job has read its record; one that failed may have failed because of it.
  if body and (ok or not unreadable(body)) then
    opened = opened_record(body, try)
  end
  opened = opened or '{"t":' .. try .. ',"f":"render_preview","a":[],"k":{},"et":' .. accepted_ms
  return opened .. ',"s":' .. (ok and 'true' or 'false') .. ',"r":' .. result_json .. ',"st":' .. started_ms
    .. ',"ft":' .. digits(NOW_MS) .. ',"q":' .. in_json(K_SCHEDULE) .. ',"id":' .. in_json(id) .. '}'
end
