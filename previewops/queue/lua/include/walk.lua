-- Walks sorted sets merged by time, from a place on that the caller was given before. A place is a source's number, a
-- score and an id: the last one seen. It need not exist any more, so what comes, goes or moves meanwhile shifts nothing.
-- A source is { key, us = µs that one of its scores stands for, least = lowest score, most = highest score }.
local CHUNK = 100

-- Redis collates by its locale, and sorted sets by bytes.
local function before(one, other)
  for i = 1, math.min(#one, #other) do
    local a, b = string.byte(one, i), string.byte(other, i)
    if a ~= b then
      return a < b
    end
  end
  return #one < #other
end

-- How many members stand before (score, id), and whether that very member is there.
local function members_before(key, score, id)
  if tonumber(redis.call('ZSCORE', key, id) or 'nan') == tonumber(score) then
    return redis.call('ZRANK', key, id), true
  end
  local low = redis.call('ZCOUNT', key, '-inf', '(' .. score)
  local high = low + redis.call('ZCOUNT', key, score, score)
  while low < high do
    local middle = math.floor((low + high) / 2)
    if before(redis.call('ZRANGE', key, middle, middle)[1], id) then
      low = middle + 1
    else
      high = middle
    end
  end
  return low, false
end

-- The rank at which a source goes on behind `place`, where sources of equal time come by their number.
local function resumed(source, number, place, descending)
  if number == place.source then
    local rank, found = members_before(source.key, place.score, place.id)
    return descending and rank - 1 or rank + (found and 1 or 0)
  end
  local bound = string.format('%.17g', place.time / source.us)
  local equal_is_over = number < place.source
  if descending then
    return redis.call('ZCOUNT', source.key, '-inf', (equal_is_over and '(' or '') .. bound) - 1
  end
  return redis.call('ZCOUNT', source.key, '-inf', (equal_is_over and '' or '(') .. bound)
end

local function opened(source, number, place, descending)
  local first = redis.call('ZCOUNT', source.key, '-inf', '(' .. source.least)
  local last = redis.call('ZCOUNT', source.key, '-inf', source.most) - 1
  local at = descending and last or first
  if place then
    local rank = resumed(source, number, place, descending)
    at = descending and math.min(at, rank) or math.max(at, rank)
  end
  return { source = source, number = number, at = at, first = first, last = last, descending = descending, chunk = {} }
end

-- The next member of a walk, or nil at its end: id, score and time in µs.
local function head_of_walk(walk)
  if walk.head then
    return walk.head
  end
  if #walk.chunk == 0 then
    local from, to
    if walk.descending then
      from, to = math.max(walk.first, walk.at - CHUNK + 1), walk.at
      walk.at = from - 1
    else
      from, to = walk.at, math.min(walk.last, walk.at + CHUNK - 1)
      walk.at = to + 1
    end
    if from > to then
      return nil
    end
    local found = redis.call('ZRANGE', walk.source.key, from, to, 'WITHSCORES')
    -- It is taken from the end.
    local start, stop, step = #found - 1, 1, -2
    if walk.descending then
      start, stop, step = 1, #found, 2
    end
    for i = start, stop, step do
      local score = found[i + 1]
      walk.chunk[#walk.chunk + 1] = { id = found[i], score = score, time = tonumber(score) * walk.source.us }
    end
  end
  walk.head = table.remove(walk.chunk)
  return walk.head
end

-- Calls visit(member, source) for one member after the other until it returns false or there are no more. Returns the
-- place of the last one visited, or nil at the end.
local function walk_on(sources, place, descending, visit)
  local walks = {}
  if place then
    place.time = tonumber(place.score) * sources[place.source].us
  end
  for number, source in ipairs(sources) do
    walks[number] = opened(source, number, place, descending)
  end
  while true do
    local chosen = nil
    for _, walk in ipairs(walks) do
      local head = head_of_walk(walk)
      local later = head and (not chosen or (descending and head.time > chosen.head.time)
        or (not descending and head.time < chosen.head.time))
      if later then
        chosen = walk
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
