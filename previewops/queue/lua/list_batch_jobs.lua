-- Lists the jobs of a batch whose records are kept, in the order in which they joined it, from a cursor and within a
-- budget.
--
-- ARGV    1 batch   2 the projects whose batches may be listed as JSON, or '' for all   3 state, '' for all
--         4 1 for newest first, 0 for oldest first   5 maximum rows   6 maximum ids to examine
--         7 cursor of an earlier call, '' for the start
-- Results ids examined, cursor or '' at the end, rows (id, values of RECORD_FIELDS in include/record.lua)*,
--         unreadable keys (include/keys.lua)
--
-- @include layout
-- @include record
-- @include visible_projects

local batch, wanted, descending = ARGV[1], ARGV[3], ARGV[4] == '1'
local limit, budget, cursor = tonumber(ARGV[5]), tonumber(ARGV[6]), ARGV[7]
local project = call('HGET', P_BATCH .. batch, 'project')
if not project or not project_matcher(ARGV[2])(project) then
  return { 0, '', {}, unreadable_reply() }
end

local after = cursor ~= '' and '(' .. cursor
local members
if descending then
  members = call('ZREVRANGEBYSCORE', P_BATCH_JOBS .. batch, after or '+inf', '-inf', 'WITHSCORES', 'LIMIT', 0, budget)
else
  members = call('ZRANGEBYSCORE', P_BATCH_JOBS .. batch, after or '-inf', '+inf', 'WITHSCORES', 'LIMIT', 0, budget)
end
local rows, examined = {}, 0
for i = 1, #members, 2 do
  local id = members[i]
  local job = call('HMGET', P_JOB .. id, 'state', 'batch')
  examined, cursor = examined + 1, format_int(tonumber(members[i + 1]))
  if job[2] == batch and (wanted == '' or job[1] == wanted) then
    rows[#rows + 1] = { id, read_record_values(id) }
    if #rows == limit then
      break
    end
  end
end
if examined < budget and #rows < limit then
  cursor = ''
end
return { examined, cursor, rows, unreadable_reply() }
