-- Lists jobs by time, from a cursor and within a budget: running jobs first, by claim, then all others merged by time.
-- Includes jobs of stock arq clients that no worker has admitted.
--
-- ARGV    1 state, '' for all   2 1 for newest first, 0 for oldest first   3 maximum rows   4 maximum ids to examine
--         5 to 7 cursor of an earlier call, '' for the start (include/job_scan.lua)
--         8 the projects among which it searches as JSON, or ''   9.. the filter (include/filter_match.lua)
-- Results ids examined, cursor or nothing at the end, rows (id, values of RECORD_FIELDS in include/record.lua)*,
--         unreadable keys (include/keys.lua)
--
-- @include job_scan
-- @include visible_projects

local wanted, descending = parse_states(ARGV[1]), ARGV[2] == '1'
local limit, budget = tonumber(ARGV[3]), tonumber(ARGV[4])
local is_visible = project_matcher(ARGV[8])
local matches, _, payload_texts = filter_matcher(ARGV, 9)
local rows = {}

local function visit(id, state)
  local job, on_record = examine(id, state, payload_texts)
  if job and (not wanted or wanted[job.state]) and is_visible(job.project) and matches(job) then
    local values = on_record and read_record_values(id) or {}
    for i, name in ipairs(on_record and {} or RECORD_FIELDS) do
      values[i] = job[name] or false
    end
    rows[#rows + 1] = { id, values }
  end
  return #rows < limit and spent < budget
end

local cursor = scan_jobs(wanted, descending, true, ARGV, 5, visit)
return { examined, cursor or {}, rows, unreadable_reply() }
