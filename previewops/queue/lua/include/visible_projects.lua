-- Whether a caller may see jobs of a project: a function, from a list of projects as JSON, or '' for all.
local function project_matcher(list)
  local visible = {}
  for _, project in ipairs(list ~= '' and cjson.decode(list) or {}) do
    visible[project] = true
  end
  return function(project)
    return list == '' or visible[project or ''] == true
  end
end
