-- @include waiting

-- Whether a job is in one of the projects in ARGV from `first` on, or there are none. `state` and `project` are those of
-- its record; without one, its body names the project.
local function is_named_project(id, state, project, first)
  if not ARGV[first] then
    return true
  end
  if not state then
    local _, named = read_priority_and_project(id)
    project = named
  end
  for i = first, #ARGV do
    if ARGV[i] == (project or '') then
      return true
    end
  end
  return false
end
