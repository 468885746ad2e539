-- @include keys
-- @include layout

-- A script that moves jobs changes nothing while one of these keys belongs to another program: half a transition would
-- lose the job. The hot paths use redis.call for these keys, and for a record that `call` has read: it costs less.
local CORE_INDEXES = { K_SCHEDULE, K_ACTIVE }
for i = 1, 2 do
  if type(redis.pcall('ZCARD', CORE_INDEXES[i])) == 'table' then
    return foreign_key(CORE_INDEXES[i], 'zset')
  end
end
-- The oldest id of each waiting list and its score, as long as the script changes none: claims need them anyway.
local WAITING_LISTS, first_heads = { K_HIGH, K_NORMAL, K_LOW }, {}
local function read_first_heads()
  for i = 1, 3 do
    first_heads[i] = redis.pcall('ZRANGE', WAITING_LISTS[i], 0, 0, 'WITHSCORES')
    if first_heads[i].err then
      return foreign_key(WAITING_LISTS[i], 'zset')
    end
  end
end
local foreign_list = read_first_heads()
if foreign_list then
  return foreign_list
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
