-- Reads ended jobs by project, output format and priority (include/breakdown.lua).
--
-- ARGV    1 number of the first bucket of 5 min, 0 for the oldest   2 maximum buckets   3 1 with projects, else 0
-- Results server now in ms, buckets (number, fields, projects (name, fields)*)*, unreadable keys (include/keys.lua)
--
-- @include layout
-- @include time

local BREAKDOWN_MS, OLDEST = 300000, 12
local current = math.floor(NOW_MS / BREAKDOWN_MS)
local first = math.max(tonumber(ARGV[1]), current - OLDEST)
local buckets = {}

local function read_projects(bucket)
  local projects = {}
  for i, project in ipairs(call('ZRANGE', P_ENDED_PROJECTS .. bucket, 0, -1)) do
    projects[i] = { project, call('HGETALL', P_ENDED_PROJECT .. bucket .. ':' .. project) }
  end
  return projects
end

for number = first, math.min(current, first + tonumber(ARGV[2]) - 1) do
  local bucket = format_int(number)
  local fields = call('HGETALL', P_ENDED .. bucket)
  buckets[#buckets + 1] = { bucket, fields, ARGV[3] == '1' and read_projects(bucket) or {} }
end
return { format_int(NOW_MS), buckets, unreadable_reply() }
