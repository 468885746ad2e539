-- The filter language of previewops/terms.py: whether something with these fields is meant.
-- `args` holds from `at` on: 1 to invert or 0, the number of terms, then three for each: field or '' for any, 1 to
-- negate or 0, text with ASCII letters in lower case. `fields` are texts by name; nil or false is empty.
local function matcher(args, at)
  local inverted, terms = args[at] == '1', {}
  for i = 1, tonumber(args[at + 1]) do
    local place = at + 2 + (i - 1) * 3
    if args[place + 2] ~= '' then
      terms[#terms + 1] = { field = args[place], negated = args[place + 1] == '1', text = args[place + 2] }
    end
  end

  local function found(term, fields)
    if term.field ~= '' then
      return string.find(string.lower(fields[term.field] or ''), term.text, 1, true) ~= nil
    end
    for _, value in pairs(fields) do
      if value and string.find(string.lower(value), term.text, 1, true) then
        return true
      end
    end
    return false
  end

  return function(fields)
    if #terms == 0 then
      return true
    end
    for _, term in ipairs(terms) do
      if found(term, fields) == term.negated then
        return inverted
      end
    end
    return not inverted
  end
end
