-- @include keys

-- A script that moves jobs changes nothing while one of these keys belongs to another program: half a transition would
-- lose the job.
for _, key in ipairs({ K_SCHEDULE, K_ACTIVE, K_HIGH, K_NORMAL, K_LOW }) do
  if type(redis.pcall('ZCARD', key)) == 'table' then
    return foreign_key(key, 'zset')
  end
end
if type(redis.pcall('HLEN', K_META)) == 'table' then
  return foreign_key(K_META, 'hash')
end
