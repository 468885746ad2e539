-- The filter language of previewops/queue/filter_query.py: whether something with these fields is meant.
-- `args` holds from `at` on: 1 to invert or 0, the number of terms, then three for each: field or '' for any, 1 to
-- negate or 0, text with ASCII letters in lower case. `fields` are texts by name; nil or false is empty.
-- Returns matches(fields), and whether anything is asked at all.
local function matcher(args, at)
  local inverted, terms = args[at] == '1', {}
  for i = 1, tonumber(args[at + 1]) do
    local place = at + 2 + (i - 1) * 3
    if args[place + 2] ~= '' then
      terms[#terms + 1] = { field = args[place], negated = args[place + 1] == '1', text = args[place + 2] }
    end
  end

  -- All fields as one text, as a hundred thousand are looked at: what stands between two is in no word that is typed.
  local function whole(f)
    return string.lower((f.id or '') .. '\0' .. (f.project or '') .. '\0' .. (f.priority or '') .. '\0'
      .. (f.state or '') .. '\0' .. (f.error or '') .. '\0' .. (f.worker or '') .. '\0' .. (f.kind or '') .. '\0'
      .. (f.who or ''))
  end

  return function(fields)
    local all = nil
    for _, term in ipairs(terms) do
      local text
      if term.field == '' then
        all = all or whole(fields)
        text = all
      else
        text = string.lower(fields[term.field] or '')
      end
      if (string.find(text, term.text, 1, true) ~= nil) == term.negated then
        return inverted
      end
    end
    return #terms == 0 or not inverted
  end, #terms > 0
end
