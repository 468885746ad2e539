-- @include counters

-- Ended jobs by project, output format and priority, in one bucket per 5 min, kept a little longer than an hour
-- (snapshot/breakdown.py). A bucket has a hash of all jobs, whose fields begin with priority and format, and one hash
-- for each of its busiest projects. The other projects are what the first has more than the sum of the others.
-- Clients choose the names of projects, so their number is bounded: a new project replaces the one with the fewest jobs
-- and starts from its count ("space saving", Metwally et al. 2005), so a busy one keeps its place whatever others submit.
-- Workers count completed jobs and report them with their heartbeat (record_ended.lua): counted in finish.lua they would
-- cost 12 % of the server's time. Failures are rare, and counted by the transitions.
local BREAKDOWN_MS, BREAKDOWN_TTL = 300000, 4500
local MAX_PROJECTS, MAX_PROJECT_BYTES = 50, 128
local FORMATS = { webp = 1, gif = 1, apng = 1, png = 1, jpeg = 1, webm = 1, mp4 = 1, ['dry-run'] = 1 }
local ended, ended_by_project = {}, {}

-- Counts jobs under `field`: `dead`, `retried`, or `w` and `r` with the bin of a wait or run time (include/counters.lua).
local function add_ended(project, priority, format, field, amount)
  local class = class_of(priority) .. ':' .. format .. ':' .. field
  ended[class] = (ended[class] or 0) + amount
  if #project <= MAX_PROJECT_BYTES then
    local counts = ended_by_project[project] or {}
    ended_by_project[project] = counts
    counts[field] = (counts[field] or 0) + amount
  end
  if string.sub(field, 1, 1) ~= 'w' then
    count_by_format(field, format, amount)
  end
end

-- The output format that a payload asks for; the schema's default without one.
local function read_format(body)
  local read, job = pcall(cjson.decode, body or '')
  for _, name in ipairs({ 'a', 1, 'previewRequest' }) do
    job = read and type(job) == 'table' and job[name]
  end
  if type(job) ~= 'table' then
    return 'other'
  end
  local format = type(job.options) == 'table' and job.options.format or 'webp'
  return FORMATS[format] and format or 'other'
end

-- Counts a job that became a dead letter, with its wait in ms, or (`what` is 'retried') a failure that is retried.
local function observe_failure(project, priority, body, what, wait_ms)
  local format = read_format(body)
  add_ended(project or '', priority, format, what, 1)
  if tonumber(wait_ms) then
    add_ended(project or '', priority, format, 'w' .. bin_of(tonumber(wait_ms)), 1)
  end
end

-- Adds counts to a hash that expires. Returns the number of jobs.
local function store_counts(key, counts)
  local fresh, jobs = false, 0
  for field, amount in pairs(counts) do
    fresh = call('HINCRBY', key, field, amount) == amount or fresh
    jobs = jobs + (string.sub(field, 1, 1) == 'w' and 0 or amount)
  end
  if fresh then
    call('EXPIRE', key, BREAKDOWN_TTL)
  end
  return jobs
end

-- Adds jobs to a project's place among the busiest, and removes another project if they are too many.
local function rank_project(index, hashes, project, jobs)
  if tonumber(call('ZINCRBY', index, jobs, project)) ~= jobs then
    return
  end
  call('EXPIRE', index, BREAKDOWN_TTL)
  if call('ZCARD', index) <= MAX_PROJECTS then
    return
  end
  local lowest = call('ZRANGE', index, 0, 1, 'WITHSCORES')
  local at = lowest[1] == project and 3 or 1
  if lowest[at] then
    call('ZREM', index, lowest[at])
    call('DEL', hashes .. lowest[at])
    call('ZINCRBY', index, lowest[at + 1], project)
  end
end

function flush_breakdown()
  if next(ended) == nil then
    return
  end
  local bucket = format_int(math.floor(NOW_MS / BREAKDOWN_MS))
  local hashes = P_ENDED_PROJECT .. bucket .. ':'
  store_counts(P_ENDED .. bucket, ended)
  for project, counts in pairs(ended_by_project) do
    rank_project(P_ENDED_PROJECTS .. bucket, hashes, project, store_counts(hashes .. project, counts))
  end
end
