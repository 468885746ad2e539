-- Closes a batch: no job joins it any more, and it ends when none is pending.
--
-- ARGV    1 batch   2 the projects whose batches may be closed as JSON, or '' for all
--         3 the project that it has to have, and of a batch to create if there is none; '' for any and none
-- Results OK, NOT_FOUND, BATCH if it is of another project, or ALREADY if it was closed
--
-- @include maxmemory
-- @include core_keys
-- @include move_aside
-- @include batches
-- @include visible_projects

local batch = ARGV[1]
local project = call('HGET', P_BATCH .. batch, 'project')
if not project and ARGV[3] ~= '' then
  open_batch(batch, ARGV[3])
  project = ARGV[3]
end
if not project or not project_matcher(ARGV[2])(project) then
  return NOT_FOUND
elseif ARGV[3] ~= '' and project ~= ARGV[3] then
  return BATCH
end
local closed = call('HSETNX', P_BATCH .. batch, 'closed', format_int(NOW_MS)) == 1
end_batch(batch)
return closed and OK or ALREADY
