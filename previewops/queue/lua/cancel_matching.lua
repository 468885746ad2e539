-- Cancels the pending jobs that match, within a budget and from the cursor of an earlier call: waiting and delayed jobs by
-- time, oldest first, then running ones, so that a job claimed meanwhile is cancelled too. Its caller records one event.
--
-- ARGV    1 pending states separated by commas   2 cut-off in server ms: jobs accepted later do not match
--         3 maximum jobs to cancel   4 maximum ids to examine
--         5 to 7 cursor of an earlier call, '' for the start (include/job_scan.lua)
--         8 who   9 reason   10 TTL of the results in ms   11.. the filter (include/filter_match.lua)
-- Results ids examined, cursor or nothing at the end, number of cancelled jobs, unreadable keys (include/keys.lua)
-- Transitions waiting -> cancelled, delayed -> cancelled, active -> cancelled
--
-- @include maxmemory
-- @include core_keys
-- @include move_aside
-- @include admit_now
-- @include cancel_job
-- @include job_scan
-- @include accepted_by

local wanted = parse_states(ARGV[1])
local matches, _, payload_texts = filter_matcher(ARGV, 11)
local cut_off, limit, budget = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local who, reason, ttl_ms = ARGV[8], ARGV[9], ARGV[10]
local chosen = {}

-- Jobs are cancelled after the scan, which counts positions in the indexes that a cancellation changes.
local function visit(id, state)
  local job, on_record = examine(id, state, payload_texts)
  if job and wanted[job.state] and matches(job) and is_accepted_by(id, on_record, cut_off) then
    chosen[#chosen + 1] = { id = id, on_record = on_record }
  end
  return #chosen < limit and spent < budget
end

local cursor = scan_jobs(wanted, false, false, ARGV, 5, visit)
for _, job in ipairs(chosen) do
  if not job.on_record then
    admit_now(job.id)
  end
  end_as_cancelled(job.id, who, reason, ttl_ms)
end
flush_counters()
return { examined, cursor or {}, #chosen, unreadable_reply() }
