-- The largest integer that a double represents exactly; a later due time is invalid.
local LAST_MS = 2 ^ 53 - 1

-- Formats an integer as text. Arguments of call that are numbers do not need this: Redis formats them in full.
local function format_int(number)
  return string.format('%.0f', number)
end

-- The whole number in a stored text, or `default` if it is not a number from 0 to LAST_MS.
local function to_int(text, default)
  local number = math.floor(tonumber(text) or -1)
  return number >= 0 and number <= LAST_MS and number or default
end

-- Whether a stored value is a counter that HINCRBY can increase and every reader can read.
local function is_counter(text)
  return string.find(text, '^%d+$') and #text <= 15
end

-- Another program may write the same keys, or somebody may edit them. `call` is redis.call for data that may be damaged.
-- A key of one job, worker, supervisor or command with a wrong type is moved aside, and the command runs again
-- (include/move_aside.lua). Every other failed command counts its key as unreadable and returns an empty value.
-- Keys without which no job can be claimed are checked before the first write (include/core_keys.lua).
local MAX_UNREADABLE = 20
local EMPTY_LIST = { HMGET = 1, HGETALL = 1, ZRANGE = 1, ZREVRANGE = 1, ZRANGEBYSCORE = 1, ZREVRANGEBYSCORE = 1, XREVRANGE = 1, LRANGE = 1,
  ZPOPMIN = 1, ZRANDMEMBER = 1 }
local NOT_STORED = { HGET = 1, ZSCORE = 1, ZRANK = 1 }
local unreadable, unreadable_count = {}, 0
local move_aside = nil

local function note_unreadable(key)
  if not unreadable[key] then
    unreadable_count = unreadable_count + 1
    unreadable[key] = true
    if unreadable_count <= MAX_UNREADABLE then
      unreadable[#unreadable + 1] = key
    end
  end
end

-- How a reader reports them: their number, then some of the keys.
local function unreadable_reply()
  local keys = { unreadable_count }
  for i, key in ipairs(unreadable) do
    keys[i + 1] = key
  end
  return keys
end

-- The error of a script that cannot work without `key`: the key, its type and the type it must have.
local function foreign_key(key, expected)
  return redis.error_reply('FOREIGNKEY ' .. key .. ' ' .. redis.call('TYPE', key).ok .. ' ' .. expected)
end

local function is_job(key)
  return string.sub(key, 1, #P_JOB) == P_JOB
end

local function call_damaged(message, command, key, ...)
  local wrong_type = string.find(message, 'WRONGTYPE', 1, true)
  local not_a_counter = command == 'HINCRBY' and (string.find(message, 'hash value is not', 1, true)
    or string.find(message, 'would overflow', 1, true))
  local full = command == 'XADD' and string.find(message, 'exhausted', 1, true)
  if not (wrong_type or not_a_counter or full) then
    return redis.call(command, key, ...) -- raises the error as Redis reports it
  end
  if wrong_type and move_aside and move_aside(key) then
    return redis.call(command, key, ...)
  elseif not_a_counter and move_aside and is_job(key) then
    local field, amount = ...
    redis.call('HSET', key, field, amount)
    return amount
  end
  note_unreadable(key)
  if EMPTY_LIST[command] then
    return {}
  end
  return not NOT_STORED[command] and 0
end

local function call(command, key, ...)
  local reply = redis.pcall(command, key, ...)
  if type(reply) == 'table' and reply.err then
    return call_damaged(reply.err, command, key, ...)
  end
  return reply
end
