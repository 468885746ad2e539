-- Reads all that is stored about some jobs, each at one moment.
--
-- ARGV    ids
-- Results digest and observation (include/observe_job.lua) of each
--
-- @include layout
-- @include observe_job

local reply = {}
for i, id in ipairs(ARGV) do
  local observation, digest = observe_job(id)
  reply[i] = { digest, observation }
end
return reply
