-- Evaluates the filter language of queue/filter_query.py.
-- From index `at`, `args` contains: 1 to negate the whole filter or 0, the number of terms, then three per term: field
-- or '' for any, 1 to negate or 0, text with ASCII letters in lower case. `fields` are strings by name; nil or false is
-- empty. Returns matches(fields), and whether any term has a text.
local function filter_matcher(args, at)
  local inverted, terms = args[at] == '1', {}
  for i = 1, tonumber(args[at + 1]) do
    local first = at + 2 + (i - 1) * 3
    if args[first + 2] ~= '' then
      terms[#terms + 1] = { field = args[first], negated = args[first + 1] == '1', text = args[first + 2] }
    end
  end

  -- All fields as one string, because filters examine 100,000 jobs. Terms cannot contain the NUL between two fields.
  local function all_text(f)
    return string.lower((f.id or '') .. '\0' .. (f.project or '') .. '\0' .. (f.priority or '') .. '\0'
      .. (f.state or '') .. '\0' .. (f.error or '') .. '\0' .. (f.worker or '') .. '\0' .. (f.kind or '') .. '\0'
      .. (f.who or ''))
  end

  return function(fields)
    local lowered = {} -- by field, for filters with many terms on one field
    for _, term in ipairs(terms) do
      local field = term.field
      local text = lowered[field]
      if text == nil then
        text = field == '' and all_text(fields) or string.lower(fields[field] or '')
        lowered[field] = text
      end
      if (string.find(text, term.text, 1, true) ~= nil) == term.negated then
        return inverted
      end
    end
    return #terms == 0 or not inverted
  end, #terms > 0
end
