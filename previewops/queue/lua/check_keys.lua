-- Checks the types of the keys of which a queue has one. For the start of a process: it reads and changes nothing else.
--
-- ARGV    pairs of key and type
-- Results keys of another type (key, its type, the type it must have)*
--
-- @include layout

local foreign = {}
for i = 1, #ARGV, 2 do
  local found = redis.call('TYPE', ARGV[i]).ok
  if found ~= 'none' and found ~= ARGV[i + 1] then
    foreign[#foreign + 1] = { ARGV[i], found, ARGV[i + 1] }
  end
end
return foreign
