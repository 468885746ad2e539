-- @include keys
-- @include layout

-- A script that moves jobs changes nothing while one of these keys belongs to another program: half a transition would
-- lose the job.
for _, key in ipairs({ K_SCHEDULE, K_ACTIVE, K_HIGH, K_NORMAL, K_LOW }) do
  if type(redis.pcall('ZCARD', key)) == 'table' then
    return foreign_key(key, 'zset')
  end
end
if unreadable[K_META] then
  return foreign_key(K_META, 'hash')
end

-- A queue without data gets its layout with its first job (submit.lua).
local function store_layout()
  if stored_layout < LAYOUT then
    redis.call('HSET', K_META, 'layout', LAYOUT)
  end
end
if stored_layout < LAYOUT and redis.call('EXISTS', K_META) == 1 then
  store_layout()
end
