-- @include keys

-- The history of failed attempts keeps the first and the last ones, and counts those dropped in between. Attempts of
-- one job that failed alike share one copy of their traceback: it is in one entry, and the others name it by its id.
-- queue/records.py reads it. Both members are the last of an entry: {…,"tracebackId":"<id>","traceback":"<text>"}.
local FIRST_KEPT, LAST_KEPT = 1, 20

local function drop_attempt(id, key)
  local first, dropped = call('LPOP', key), call('LPOP', key)
  call('LPUSH', key, first)
  call('HINCRBY', P_JOB .. id, 'attempts_dropped', 1)
  local mark, text = string.match(dropped, '(,"tracebackId":"%x+")(,"traceback":.*)}$')
  for i, entry in ipairs(mark and call('LRANGE', key, FIRST_KEPT, FIRST_KEPT + LAST_KEPT) or {}) do
    if string.sub(entry, -#mark - 1) == mark .. '}' then
      call('LSET', key, FIRST_KEPT + i - 1, string.sub(entry, 1, -2) .. text .. '}')
      return
    end
  end
end

-- Appends an attempt, a JSON object without its traceback. `traceback` is a JSON string, or '' without one.
local function add_attempt(id, attempt, traceback)
  local key = P_ATTEMPTS .. id
  if traceback ~= '' then
    local mark, text = ',"tracebackId":"' .. redis.sha1hex(traceback) .. '"', ',"traceback":' .. traceback
    for _, entry in ipairs(call('LRANGE', key, 0, FIRST_KEPT + LAST_KEPT)) do
      if string.find(entry, mark .. ',', 1, true) then
        text = ''
        break
      end
    end
    attempt = string.sub(attempt, 1, -2) .. mark .. text .. '}'
  end
  local surplus = call('RPUSH', key, attempt) - FIRST_KEPT - LAST_KEPT
  -- Two per new attempt shorten a longer history of an earlier version.
  for _ = 1, math.min(surplus, 2) do
    drop_attempt(id, key)
  end
end
