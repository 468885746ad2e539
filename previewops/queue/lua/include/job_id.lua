-- @include keys

-- An id that is not UTF-8, is too long or has control characters could crash one worker after the other that decodes or
-- prints it. No client writes such ids. Every other id becomes a job or a dead letter.
local function is_invalid_id(id)
  if not string.find(id, '[^%w_.:-]') and #id > 0 and #id <= 512 then
    return false -- most ids are plain, and this search is cheaper
  end
  if #id == 0 or #id > 512 or string.find(id, '%c') or string.find(id, '\237[\160-\191]') or string.find(id, '\224[\128-\159]')
    or string.find(id, '\240[\128-\143]') or string.find(id, '\244[\144-\191]') then
    return true
  end
  local rest = string.gsub(id, '[\1-\127]', '')
  rest = string.gsub(rest, '[\194-\223][\128-\191]', '')
  rest = string.gsub(rest, '[\224-\239][\128-\191][\128-\191]', '')
  rest = string.gsub(rest, '[\240-\244][\128-\191][\128-\191][\128-\191]', '')
  return rest ~= ''
end
