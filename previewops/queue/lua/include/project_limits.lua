-- @include layout

-- Weights and maxima of projects (queue/projects.py stores them). A field of the hash is `set:` for limits that an operator
-- set, or `env:` for those of PREVIEW_PROJECT_LIMITS, and a project or `*` for all others; its value is
-- `<weight>:<maximum of active jobs>`, each of them empty or a number, and the maximum 0 for none. The meta hash has the
-- number of fields, so that a queue without limits never reads the hash.
local FULL_TURN = 27720 -- of weight 1. Divisible by 1 to 12, so that these weights are exact
local MAX_WEIGHT = 100
local NO_LIMITS = { weight = 1, turn = FULL_TURN }

-- The project as which a job takes turns. Only stock arq clients can enqueue jobs without a valid one; these share a turn.
local function turn_of(project)
  if project and #project <= 128 and not string.find(project, '[^%w._-]') then
    return project
  end
  return ''
end

local known_limits = {} -- by project, as this call has read them

-- The weight of a project, its maximum of active jobs or nil, and the length of its turn.
local function limits_of(project)
  if not stored_meta[6] then
    return NO_LIMITS
  elseif known_limits[project] then
    return known_limits[project]
  end
  local weight, max_active = nil, nil
  for _, text in ipairs(call('HMGET', K_PROJECT_LIMITS, 'set:' .. project, 'env:' .. project, 'set:*', 'env:*')) do
    local stored = text or ''
    local stored_weight, stored_max = string.match(stored, '^(%d*):(%d*)$')
    weight = weight or to_int(stored_weight)
    max_active = max_active or to_int(stored_max)
  end
  weight = math.max(1, math.min(MAX_WEIGHT, weight or 1))
  local limits = {
    weight = weight, turn = math.floor(FULL_TURN / weight), max_active = max_active ~= 0 and max_active or nil,
  }
  known_limits[project] = limits
  return limits
end
