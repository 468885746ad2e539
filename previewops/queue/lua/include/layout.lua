-- @include call

-- Layout of a queue's data (previewops.states.LAYOUT), in the field `layout` of the meta hash. A build does not touch
-- data of a newer layout: it cannot know what that means. Data without the field is of layout 0, which differs from 1
-- by the missing field alone; a script that changes the queue stores the field (include/core_keys.lua). A later layout
-- adds its upgrade there: idempotent, bounded, and readable by the build before.
local LAYOUT = 1
-- Claims need the next two fields, as they are before the script changes them, ends of jobs the two after these, and
-- both the number of project limits.
local stored_meta = call('HMGET', K_META, 'layout', 'paused', 'sequence', 'webhooks_until', 'webhook_all',
  'project_limits')
local stored_layout = to_int(stored_meta[1], 0)
if stored_layout > LAYOUT then
  return redis.error_reply('NEWERLAYOUT ' .. K_SCHEDULE .. ' ' .. format_int(stored_layout) .. ' ' .. LAYOUT)
end
