-- Lists or counts matching dead letters, newest first, from a cursor and within a budget.
--
-- ARGV    1 rows | ids | count | facets   2 complete fingerprint to search its group only, or ''
--         3 cut-off in server ms, '' for now   4 minimum age in ms at the cut-off   5 maximum matches
--         6 maximum ids to examine   7 to 9 cursor of an earlier call, '' for the start (include/merge_scan.lua)
--         10 '=' and a project, or ''   11 error class, code or part of a message, or ''   12 the same in lower case
--         13 prefix of the fingerprint   14 the projects among which it searches as JSON, or ''
--         15 number of named ids, then these, then the filter (include/filter_match.lua)
--         last: earliest time of death in server ms, or ''
-- Results cut-off, ids examined, cursor or nothing at the end, number of matches, and these: nothing,
--         ids, rows (id, values of RECORD_FIELDS in include/record.lua), or facets: their numbers by project, worker,
--         and hours since the epoch, each a list of names and numbers; then unreadable keys (include/keys.lua)
--
-- @include layout
-- @include time
-- @include merge_scan
-- @include filter_match
-- @include payload_fields
-- @include record
-- @include visible_projects

local HOUR_MS = 3600000
local mode, project, error_text, error_lower, prefix = ARGV[1], ARGV[10], ARGV[11], ARGV[12], ARGV[13]
local limit, budget, named = tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[15])
local cut_off = ARGV[3] == '' and NOW_MS or tonumber(ARGV[3])
local latest = cut_off - tonumber(ARGV[4])
local matches, has_terms, payload_texts = filter_matcher(ARGV, 16 + named)
local is_visible = project_matcher(ARGV[14])
local needs_record = has_terms or ARGV[14] ~= '' or named > 0 or project ~= '' or error_text ~= '' or prefix ~= ''
local earliest = ARGV[#ARGV]
local examined, matching, reply = 0, 0, {}
local facets = { {}, {}, {} }

local function matches_error(job)
  return error_text == '' or job.class == error_text or job.code == error_text
    or string.find(string.lower(job.reason), error_lower, 1, true) ~= nil
end

local function is_match(id)
  if not needs_record then
    return true
  end
  local job = read_filter_fields(id)
  if not STATES[job.state] then
    note_unreadable(P_JOB .. id)
  end
  if payload_texts and job.state == 'dead' then
    add_payload_fields(job, payload_texts)
  end
  return job.state == 'dead' and matches(job) and to_int(job.finished, 0) <= latest
    and to_int(job.finished, 0) >= (tonumber(earliest) or 0)
    and is_visible(job.project) and (project == '' or job.project == string.sub(project, 2))
    and string.sub(job.fingerprint or '', 1, #prefix) == prefix and matches_error(job)
end

local function add_facets(id)
  local job = call('HMGET', P_JOB .. id, 'project', 'worker', 'finished')
  job[3] = format_int(math.floor(to_int(job[3], 0) / HOUR_MS))
  for i = 1, 3 do
    local value = job[i] or ''
    facets[i][value] = (facets[i][value] or 0) + 1
  end
end

local function visit(id)
  examined = examined + 1
  if is_match(id) then
    local values = mode == 'rows' and read_record_values(id)
    if values and values[1] ~= 'dead' then
      note_unreadable(P_JOB .. id)
    else
      matching = matching + 1
      if mode == 'facets' then
        add_facets(id)
      end
      reply[matching] = mode == 'ids' and id or values and { id, values } or nil
    end
  end
  return matching < limit and examined < budget
end

local cursor = nil
if named > 0 then
  for i = 16, 15 + named do
    visit(ARGV[i])
  end
else
  local index = ARGV[2] ~= '' and P_DEAD_GROUP .. ARGV[2] or K_DEAD
  local after = ARGV[7] ~= '' and { source = 1, score = ARGV[8], id = ARGV[9] } or nil
  local source = { key = index, us = 1000, min = earliest == '' and '-inf' or earliest, max = format_int(latest) }
  cursor = merge_scan({ source }, after, true, function(member)
    return visit(member.id)
  end)
end
for i = 1, mode == 'facets' and 3 or 0 do
  reply[i] = {}
  for value, number in pairs(facets[i]) do
    table.insert(reply[i], value)
    table.insert(reply[i], number)
  end
end
return { format_int(cut_off), examined, cursor or {}, matching, reply, unreadable_reply() }
