-- @include keys
-- @include project_limits

-- Turns of projects within a priority, so that one project's many jobs do not hold back another's.
--
-- WAITING is the truth: which jobs wait, by age. Derived from it are, for each priority, a sorted set of waiting jobs for
-- each project (waiting_key), and a sorted set of the projects that have one, by the moment of their turn (TURNS). A claim
-- takes the first project's oldest job and moves the project on by FULL_TURN / weight: these are the virtual times of
-- start-time fair queueing, over claims. They were preferred to deficits in a list because a project of weight 9 then takes
-- 9 of 10 turns one by one and not in one go, because a project leaves from the middle in logarithmic time, and because the
-- score is all that has to be stored: neither deficits nor a virtual clock can drift.
--
-- A project enters one moment before it would have its turn again if it had just had one. So before its oldest job is
-- claimed, another project has at most weight / own weight turns, rounded up, and gains nothing if it leaves and enters
-- again. If only one project waits in a priority, its turn does not move, and claims read WAITING as before.
--
-- A project at its maximum of active jobs is not in TURNS but among the held projects (include/active.lua), so that claims
-- do not look at it again; it enters when one of its jobs has stopped running.
--
-- An older build, or somebody's hands, may leave the derived sets wrong. Claims drop entries of jobs that do not wait, and
-- add the oldest waiting jobs where they are missing (include/claim.lua); maintenance checks all in small steps
-- (include/check_turns.lua), and `doctor` does so at once. All keys exist only while jobs wait.
local TURNS = { high = K_TURNS_HIGH, normal = K_TURNS_NORMAL, low = K_TURNS_LOW }

local function waiting_key(priority, project)
  return P_PROJECT_WAITING .. priority .. ':' .. project
end

local has_turn = {} -- projects that this call has seen in TURNS, by priority and project

local function enter_turns(priority, project)
  local turns = TURNS[priority]
  local own = to_int(call('ZSCORE', turns, project))
  local first = call('ZRANGE', turns, 0, 0, 'WITHSCORES')
  local now = to_int(first[2], 0)
  if own and own <= now + FULL_TURN then
    return -- a later turn is damaged
  elseif stored_meta[6] and call('ZSCORE', K_HELD_PROJECTS, project) then
    return
  end
  call('ZADD', turns, format_int(now + limits_of(project).turn - 1), project)
end

local function leave_turns(priority, project)
  call('ZREM', TURNS[priority], project)
  has_turn[priority .. project] = nil
end

-- Adds a waiting job to its project. Returns 1 if it was not there.
local function index_waiting(id, priority, project, score)
  project = turn_of(project)
  local added = call('ZADD', waiting_key(priority, project), format_int(score), id)
  if not has_turn[priority .. project] then
    enter_turns(priority, project)
    has_turn[priority .. project] = true
  end
  return added
end

local function unindex_waiting(id, priority, project)
  project = turn_of(project)
  local key = waiting_key(priority, project)
  if call('ZREM', key, id) == 1 and call('EXISTS', key) == 0 then
    leave_turns(priority, project)
  end
end
