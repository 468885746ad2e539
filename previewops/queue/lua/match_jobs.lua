-- Counts the jobs that match, by state, and returns the ids of some or all of them: from a cursor and within a budget,
-- oldest first, running jobs last.
--
-- ARGV    1 states separated by commas, '' for all   2 cut-off in server ms, '' for now: jobs accepted later do not match
--         3 maximum ids to return, of each state   4 maximum ids to examine
--         5 to 7 cursor of an earlier call, '' for the start (include/job_scan.lua)
--         8.. the filter (include/filter_match.lua)
-- Results cut-off, ids examined, cursor or nothing at the end, (state, number of matches)*, (state, id)*,
--         unreadable keys (include/keys.lua)
--
-- @include job_scan
-- @include accepted_by

local wanted = parse_states(ARGV[1])
local matches, _, payload_texts = filter_matcher(ARGV, 8)
local cut_off, limit, budget = tonumber(ARGV[2]) or NOW_MS, tonumber(ARGV[3]), tonumber(ARGV[4])
local counts, ids = {}, {}

local function visit(id, state)
  local job, on_record = examine(id, state, payload_texts)
  if job and (not wanted or wanted[job.state]) and matches(job) and is_accepted_by(id, on_record, cut_off) then
    counts[job.state] = (counts[job.state] or 0) + 1
    if counts[job.state] <= limit then
      ids[#ids + 1] = job.state
      ids[#ids + 1] = id
    end
  end
  return spent < budget
end

local cursor = scan_jobs(wanted, false, false, ARGV, 5, visit)
local flat = {}
for state, count in pairs(counts) do
  flat[#flat + 1] = state
  flat[#flat + 1] = format_int(count)
end
return { format_int(cut_off), examined, cursor or {}, flat, ids, unreadable_reply() }
