-- @include time

-- Stores the body of a job as arq does: function `func` with the payload, JSON text, as its argument.
local function store_body(id, func, payload)
  call('SET', P_ARQ_JOB .. id,
    '{"t":null,"f":"' .. func .. '","a":[' .. payload .. '],"k":{},"et":' .. format_int(NOW_MS) .. '}')
end
