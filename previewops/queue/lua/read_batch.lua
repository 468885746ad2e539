-- Reads a batch.
--
-- ARGV    1 batch
-- Results its fields (field, value)*, unreadable keys (include/keys.lua)
--
-- @include layout
-- @include keys

return { call('HGETALL', P_BATCH .. ARGV[1]), unreadable_reply() }
