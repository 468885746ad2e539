-- K_… are keys and P_… prefixes of keys, put in front of this text by the loader (previewops/queue/keys.py names them all).
local WAITING = { high = K_HIGH, normal = K_NORMAL, low = K_LOW }

-- previewops.states.Code
local OK, DUPLICATE, CONFLICT, FULL, STALE = 0, 1, 2, 3, 4
local NOT_FOUND, WRONG_STATE, COMPARE, ALREADY = 5, 6, 7, 8

-- The text of a key, or false: also where something that is no text has been put by hand.
local function text_at(key)
  local found = redis.pcall('GET', key)
  return type(found) == 'string' and found
end
