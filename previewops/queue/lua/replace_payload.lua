-- Replaces the payload of one dead letter and requeues it.
--
-- ARGV    1 id   2 priority   3 project   4 digest of the body   5 payload as JSON   6 arq function name
--         7 who   8 reason   9 '=' and the expected digest of the stored body, or '' to skip the check
-- Results code (OK, NOT_FOUND, WRONG_STATE, CONFLICT: another digest), previous state
-- Transitions dead -> waiting
--
-- @include maxmemory
-- @include core_keys
-- @include move_aside
-- @include body
-- @include requeue_dead_letter

local id, class, project, digest, payload, func = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5], ARGV[6]
local job = call('HMGET', P_JOB .. id, 'state', 'fingerprint', 'digest')
if not job[1] then
  return { NOT_FOUND, '' }
elseif job[1] ~= 'dead' then
  return { WRONG_STATE, job[1] }
elseif ARGV[9] ~= '' and ARGV[9] ~= '=' .. (job[3] or '') then
  return { CONFLICT, job[1] }
end
store_body(id, func, payload)
call('HSET', P_JOB .. id, 'project', project, 'digest', digest)
requeue_dead_letter(id, job[2], class)
count('requeued')
add_event('requeued', 'who', ARGV[7], 'why', ARGV[8], 'done', '1', 'skipped', '0', 'job', id, 'edited', '1',
  'digestBefore', job[3] or '', 'digestAfter', digest)
wake_worker()
flush_counters()
return { OK, 'dead' }
