-- @include keys
-- @include time

-- Pending jobs of projects with a quota. The key of a project is created with the first submit under a quota, and expires
-- a week after the last one. While it exists, every job of the project that becomes pending is added, by any client.
-- No other script removes members: each added job checks two others, and a submit at the limit checks up to SWEEP_MAX, so
-- that transitions of jobs without a quota cost nothing, and the set is as long as what is pending, or a few times that.
local QUOTA_TTL_MS = 7 * 24 * 3600 * 1000
local SWEEP_PER_JOB, SWEEP_MAX = 2, 1000
local QUOTA_MARK = '' -- member that keeps the key while no job is pending; no job has this id

local PENDING = { waiting = 1, delayed = 1, active = 1 }

-- Removes those of the `count` oldest members whose jobs have ended or are now in another project. The others move to
-- the end, so that the next sweep checks others. Returns the number of removed members.
local function sweep_quota(project, count)
  local key, removed = P_QUOTA .. project, 0
  local members = call('ZPOPMIN', key, count)
  for i = 1, #members, 2 do
    local id = members[i]
    local job = call('HMGET', P_JOB .. id, 'state', 'project')
    if id == QUOTA_MARK then
      call('ZADD', key, '+inf', id)
    elseif PENDING[job[1]] and job[2] == project then
      call('ZADD', key, format_int(NOW_US), id)
    else
      removed = removed + 1
    end
  end
  return removed
end

local has_quota = {} -- by project, as this call has found it

-- Adds a job that has become pending, if its project has a quota.
local function add_to_quota(id, project)
  if has_quota[project] == nil then
    has_quota[project] = call('EXISTS', P_QUOTA .. project) == 1
  end
  if has_quota[project] then
    call('ZADD', P_QUOTA .. project, format_int(NOW_US), id)
    sweep_quota(project, SWEEP_PER_JOB)
  end
end
