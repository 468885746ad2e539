-- Evaluates the filter language of queue/filter_query.py.
-- From index `at`, `args` contains: 1 to negate the whole filter or 0, the number of terms, then three per term: field
-- or '' for any, with a leading = to compare the whole field; 1 to negate or 0; text with ASCII letters in lower case.
-- `fields` are strings by name; nil or false is empty. Returns matches(fields), whether any term has a text, and nil or,
-- if a term names a field of the payload, what a payload that matches contains (include/payload_fields.lua): all of the
-- texts, or one of them if `any`; with no text any payload may match.
local PAYLOAD_FIELDS = { request = true, title = true }

local function filter_matcher(args, at)
  local inverted, terms, payload_texts = args[at] == '1', {}, nil
  local only_payload = true -- whether each term is a negated one on a field of the payload, with a plain text
  for i = 1, tonumber(args[at + 1]) do
    local first = at + 2 + (i - 1) * 3
    local field, negated, text = args[first], args[first + 1] == '1', args[first + 2]
    if text ~= '' then
      local exact = string.sub(field, 1, 1) == '='
      field = exact and string.sub(field, 2) or field
      local edge = exact and '\n' or ''
      terms[#terms + 1] = { field = field, negated = negated, edge = edge, text = edge .. text .. edge }
      -- No encoder of JSON escapes these characters.
      local plain = PAYLOAD_FIELDS[field] and not string.find(text, '[^%w _.:-]')
      only_payload = only_payload and plain and negated
      if PAYLOAD_FIELDS[field] then
        payload_texts = payload_texts or { any = inverted }
        if plain and negated == inverted then
          payload_texts[#payload_texts + 1] = text
        end
      end
    end
  end
  if inverted and payload_texts and not only_payload then
    payload_texts = {}
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
      if term.edge ~= '' then
        text = term.edge .. text .. term.edge
      end
      if (string.find(text, term.text, 1, true) ~= nil) == term.negated then
        return inverted
      end
    end
    return #terms == 0 or not inverted
  end, #terms > 0, payload_texts
end
