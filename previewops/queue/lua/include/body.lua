-- @include time

-- Stores the body of a job as arq does. All arguments are JSON text: the function, its arguments, and those by name.
local function store_call(id, func, arguments, by_name)
  call('SET', P_ARQ_JOB .. id,
    '{"t":null,"f":' .. func .. ',"a":' .. arguments .. ',"k":' .. by_name .. ',"et":' .. format_int(NOW_MS) .. '}')
end

-- Stores the body of a job: function `func` with the payload, JSON text, as its argument.
local function store_body(id, func, payload)
  store_call(id, '"' .. func .. '"', '[' .. payload .. ']', '{}')
end
