-- Lists dead letters that a choice means, newest first, from a place on, as far as a budget goes; or only counts them.
--
-- KEYS    1 the queue; all others by name (include/keys.lua)
-- ARGV    1 rows, ids or count   2 a whole fingerprint to look through its group only, or ''
--         3 cut-off in server ms, '' for now   4 least age in ms at the cut-off   5 most found   6 most ids to examine
--         7 to 9 the place that an earlier call has reached, '' for the beginning (include/walk.lua)
--         10 '=' and a project, or ''   11 an error class or code, or part of a message, or ''   12 that in lower case
--         13 how a fingerprint begins   14 how many ids are named, and then those   then the filter (include/match.lua)
-- Results the cut-off, ids examined, the place reached or nothing at the end, how many were found, and these: nothing,
--         ids, or rows (id, values of RECORD in include/record.lua)
--
-- @include keys
-- @include time
-- @include walk
-- @include match
-- @include record

local mode, project, error_named, error_folded, prefix = ARGV[1], ARGV[10], ARGV[11], ARGV[12], ARGV[13]
local limit, budget, named = tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[14])
local cut_off = ARGV[3] == '' and NOW_MS or tonumber(ARGV[3])
local latest = cut_off - tonumber(ARGV[4])
local matches, asked = matcher(ARGV, 15 + named)
local must_look = asked or named > 0 or project ~= '' or error_named ~= '' or prefix ~= ''
local examined, found, reply = 0, 0, {}

local function speaks_of(job)
  return error_named == '' or job.class == error_named or job.code == error_named
    or string.find(string.lower(job.reason), error_folded, 1, true) ~= nil
end

local function meant(id)
  if not must_look then
    return true
  end
  local job = look_at(id)
  return job.state == 'dead' and matches(job) and tonumber(job.finished or 0) <= latest
    and (project == '' or job.project == string.sub(project, 2))
    and string.sub(job.fingerprint or '', 1, #prefix) == prefix and speaks_of(job)
end

local function visit(id)
  examined = examined + 1
  if meant(id) then
    found = found + 1
    if mode == 'ids' then
      reply[found] = id
    elseif mode == 'rows' then
      reply[found] = { id, values_of(id) }
    end
  end
  return found < limit and examined < budget
end

local place = nil
if named > 0 then
  for i = 15, 14 + named do
    visit(ARGV[i])
  end
else
  local index = ARGV[2] ~= '' and P_DEAD_GROUP .. ARGV[2] or K_DEAD
  local after = ARGV[7] ~= '' and { source = 1, score = ARGV[8], id = ARGV[9] } or nil
  place = walk_on({ { key = index, us = 1000, least = '-inf', most = digits(latest) } }, after, true, function(member)
    return visit(member.id)
  end)
end
return { digits(cut_off), examined, place or {}, found, reply }
