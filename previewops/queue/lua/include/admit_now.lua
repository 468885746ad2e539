-- @include admit

-- Gives a job of a stock arq client that no worker has admitted its record, as a waiting job, even if it is not due.
-- Returns the state that clients saw, and when it is due in server ms; nil if the queue has no such job.
local function admit_now(id)
  local score = call('ZSCORE', K_SCHEDULE, id)
  if not score then
    return nil
  end
  local due_ms = math.abs(tonumber(score))
  admit_foreign(id, math.min(due_ms, NOW_MS))
  return due_ms > NOW_MS and 'delayed' or 'waiting', due_ms
end
