-- @include time

-- Stores the report of a worker or supervisor, a JSON object, with the server's time as `atMs`. Every write goes to the
-- append-only file, so a report of which only measurements have changed is stored every few seconds.
local REPORT_MS = 5000
local MEASUREMENTS = { atMs = true, clockMs = true, cpu = true, ownRssBytes = true, rssBytes = true, load = true,
  memoryFreeBytes = true, diskFreeBytes = true }

local function without_measurements(info)
  return (string.gsub(info, '"(%a+)":%s*[%-%d.]+', function(name)
    return MEASUREMENTS[name] and '' or nil
  end))
end

-- The stored reports of an index: (id, heartbeat ms, info JSON)*.
local function read_reports(heartbeats, prefix)
  local reports = {}
  for i = 1, #heartbeats, 2 do
    local id = heartbeats[i]
    reports[#reports + 1] = { id, heartbeats[i + 1], call('HGET', prefix .. id, 'info') or '{}' }
  end
  return reports
end

local function store_report(key, info)
  local members = string.sub(info, 2)
  info = '{"atMs":' .. format_int(NOW_MS) .. (members == '}' and '' or ',') .. members
  local stored = call('HGET', key, 'info')
  local age_ms = stored and NOW_MS - tonumber(string.match(stored, '^{"atMs":(%d+)') or 0)
  if not stored or age_ms < 0 or age_ms >= REPORT_MS or without_measurements(stored) ~= without_measurements(info) then
    call('HSET', key, 'info', info)
  end
end
