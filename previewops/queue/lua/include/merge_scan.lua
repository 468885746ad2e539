-- Scans several sorted sets merged by time, from a cursor of an earlier scan. A cursor is the source's number, the
-- score and the id of the last member seen. That member need not exist any more, so changes between two scans do not
-- shift the result. A source is { key, us = µs per unit of its score, min = lowest score, max = highest score }.
--
-- @include keys

local CHUNK = 100

-- Sorted sets order members by bytes, but Lua in Redis compares strings by locale.
local function sorts_before(one, other)
  for i = 1, math.min(#one, #other) do
    local a, b = string.byte(one, i), string.byte(other, i)
    if a ~= b then
      return a < b
    end
  end
  return #one < #other
end

-- The number of members before (score, id), and whether that member exists.
local function count_before(key, score, id)
  if tonumber(call('ZSCORE', key, id) or 'nan') == tonumber(score) then
    return call('ZRANK', key, id), true
  end
  local low = call('ZCOUNT', key, '-inf', '(' .. score)
  local high = low + call('ZCOUNT', key, score, score)
  while low < high do
    local middle = math.floor((low + high) / 2)
    if sorts_before(call('ZRANGE', key, middle, middle)[1], id) then
      low = middle + 1
    else
      high = middle
    end
  end
  return low, false
end

-- The rank at which a source continues after `cursor`. At equal times, sources are ordered by number.
local function resume_rank(source, number, cursor, descending)
  if number == cursor.source then
    local rank, exists = count_before(source.key, cursor.score, cursor.id)
    return descending and rank - 1 or rank + (exists and 1 or 0)
  end
  local bound = string.format('%.17g', cursor.time / source.us)
  local equal_was_seen = number < cursor.source
  if descending then
    return call('ZCOUNT', source.key, '-inf', (equal_was_seen and '(' or '') .. bound) - 1
  end
  return call('ZCOUNT', source.key, '-inf', (equal_was_seen and '' or '(') .. bound)
end

local function open_scan(source, number, cursor, descending)
  local first = call('ZCOUNT', source.key, '-inf', '(' .. source.min)
  local last = call('ZCOUNT', source.key, '-inf', source.max) - 1
  local at = descending and last or first
  if cursor then
    local rank = resume_rank(source, number, cursor, descending)
    at = descending and math.min(at, rank) or math.max(at, rank)
  end
  return { source = source, number = number, at = at, first = first, last = last, descending = descending, chunk = {} }
end

-- The next member of a scan (id, score and time in µs), or nil at its end.
local function peek(scan)
  if scan.head then
    return scan.head
  end
  if #scan.chunk == 0 then
    local from, to
    if scan.descending then
      from, to = math.max(scan.first, scan.at - CHUNK + 1), scan.at
      scan.at = from - 1
    else
      from, to = scan.at, math.min(scan.last, scan.at + CHUNK - 1)
      scan.at = to + 1
    end
    if from > to then
      return nil
    end
    local members = call('ZRANGE', scan.source.key, from, to, 'WITHSCORES')
    -- table.remove takes the last one, so the next member is stored last.
    local start, stop, step = #members - 1, 1, -2
    if scan.descending then
      start, stop, step = 1, #members, 2
    end
    for i = start, stop, step do
      local score = members[i + 1]
      scan.chunk[#scan.chunk + 1] = { id = members[i], score = score, time = tonumber(score) * scan.source.us }
    end
  end
  scan.head = table.remove(scan.chunk)
  return scan.head
end

-- Calls visit(member, source) for each member until it returns false. Returns the cursor of the last member visited, or
-- nil at the end.
local function merge_scan(sources, cursor, descending, visit)
  local scans = {}
  if cursor then
    cursor.time = tonumber(cursor.score) * sources[cursor.source].us
  end
  for number, source in ipairs(sources) do
    scans[number] = open_scan(source, number, cursor, descending)
  end
  while true do
    local chosen = nil
    for _, scan in ipairs(scans) do
      local head = peek(scan)
      local later = head and (not chosen or (descending and head.time > chosen.head.time)
        or (not descending and head.time < chosen.head.time))
      if later then
        chosen = scan
      end
    end
    if not chosen then
      return nil
    end
    local member = chosen.head
    chosen.head = nil
    if not visit(member, chosen.source) then
      return { tostring(chosen.number), member.score, member.id }
    end
  end
end
