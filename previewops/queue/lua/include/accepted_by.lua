-- @include keys

-- Whether a job was accepted by `cut_off`, in server ms. A bulk command leaves jobs alone that were submitted after the
-- operator has seen their number. A job of a stock arq client that no worker has admitted has no time of the server's clock.
-- Not read with the filter's fields, because few jobs match.
local function is_accepted_by(id, on_record, cut_off)
  return not on_record or to_int(call('HGET', P_JOB .. id, 'accepted'), 0) <= cut_off
end
