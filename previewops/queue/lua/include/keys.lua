-- @include call

-- K_… are keys and P_… are key prefixes. The loader writes them into the script (queue/keys.py).
local WAITING = { high = K_HIGH, normal = K_NORMAL, low = K_LOW }

local STATES = { waiting = 1, delayed = 1, active = 1, completed = 1, dead = 1, cancelled = 1 }

-- previewops.states.ScriptResult
local OK, DUPLICATE, CONFLICT, FULL, STALE = 0, 1, 2, 3, 4
local NOT_FOUND, WRONG_STATE, COMPARE, ALREADY, QUOTA, REPLACED, BATCH = 5, 6, 7, 8, 9, 10, 11

-- The priority class in a record; `normal` if that is damaged.
local function class_of(priority)
  return WAITING[priority] and priority or 'normal'
end

-- The string at a key, or false if it is missing or has another type.
local function get_string(key)
  local value = redis.pcall('GET', key)
  return type(value) == 'string' and value
end
