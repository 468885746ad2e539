-- @include time

-- Prefixes of keys that belong to one job, worker, supervisor, command, webhook or project. Nothing else needs such a key.
-- Then the turns of projects, which claims derive again.
local MOVABLE = { P_JOB, P_ATTEMPTS, P_WORKER, P_SUPERVISOR, P_COMMANDS, P_COMMAND, P_WEBHOOK, P_QUOTA, P_PROJECT_WAITING,
  P_PROJECT_ACTIVE, K_TURNS_HIGH, K_TURNS_NORMAL, K_TURNS_LOW, K_HELD_PROJECTS, K_PROJECT_LIMITS }
local moved_aside = {}

-- Renames a key to one of the quarantine. Nothing is deleted: `previewops doctor` lists the quarantine.
local function quarantine(key)
  redis.call('RENAME', key, P_QUARANTINE .. format_int(NOW_US) .. ':' .. key)
  moved_aside[key] = true
  redis.pcall('HINCRBY', K_META, 'quarantined', 1)
  redis.pcall('XADD', K_EVENTS, 'MAXLEN', '~', 10000, '*', 'kind', 'quarantined', 'at', format_int(NOW_MS), 'key', key)
end

function move_aside(key)
  for _, prefix in ipairs(MOVABLE) do
    if string.sub(key, 1, #prefix) == prefix then
      quarantine(key)
      return true
    end
  end
  return false
end
