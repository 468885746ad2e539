"""A queue with very many waiting jobs, stored by a script in the server: a submit of each would take minutes."""

from __future__ import annotations

from redis.asyncio import Redis

from previewops.queue.keys import ARQ_GUARD, ARQ_GUARD_SCORE, ARQ_JOB_PREFIX, Keys
from previewops.states import Priority

_PER_CALL = 2_000

# What submit stores of a job, for the numbers from ARGV[1] to ARGV[2], which are in the order of the submits.
_STORE = """
local queue, wanted = KEYS[1], tonumber(ARGV[3])
local time = redis.call('TIME')
local now_us = tonumber(time[1]) * 1000000 + tonumber(time[2])
for number = tonumber(ARGV[1]), tonumber(ARGV[2]) do
  local id, project = 'card-' .. number, 'project-' .. number % 100
  local order = string.format('%.0f', now_us - (wanted - number) * 10)
  local accepted = string.sub(order, 1, -4)
  redis.call('SET', ARGV[4] .. id, '{"t":null,"f":"render_preview","a":[{"jobId":"' .. id .. '","projectId":"'
    .. project .. '","requestId":"request-' .. number .. '","dryRun":false,"previewRequest":{"title":"Card ' .. number
    .. '","steps":[],"assets":[],"audio":{}}}],"k":{},"et":' .. accepted .. '}')
  redis.call('HSET', ARGV[5] .. id, 'state', 'waiting', 'priority', 'normal', 'project', project, 'digest', 'deep',
    'accepted', accepted, 'order', order, 'attempts', 0, 'crashes', 0)
  redis.call('ZADD', ARGV[6], order, id)
  redis.call('ZADD', queue, '-' .. accepted, id)
end
redis.call('HINCRBY', ARGV[7], 'accepted', tonumber(ARGV[2]) - tonumber(ARGV[1]) + 1)
"""


async def fill_waiting(redis: Redis, keys: Keys, count: int) -> None:
    """Stores ``count`` waiting jobs: ``card-0`` is the oldest; each hundredth is of the project ``project-7``.

    ``card-N`` has the requestId ``request-N`` and the title ``Card N``.
    """
    await redis.zadd(keys.schedule, {ARQ_GUARD: ARQ_GUARD_SCORE})
    for first in range(0, count, _PER_CALL):
        await redis.eval(
            _STORE,
            1,
            keys.schedule,
            str(first),
            str(min(first + _PER_CALL, count) - 1),
            str(count),
            ARQ_JOB_PREFIX,
            keys.job_prefix,
            keys.waiting(Priority.NORMAL),
            keys.meta,
        )


async def add_events(redis: Redis, keys: Keys, count: int) -> None:
    """Adds events of jobs that are tried again, which no operator caused, as the scripts add them."""
    async with redis.pipeline(transaction=False) as pipe:
        for number in range(count):
            fields = {"kind": "retry", "at": "1000", "job": f"card-{number}", "message": "it broke"}
            pipe.xadd(keys.events, fields, maxlen=10_000, approximate=True)
        pipe.hincrby(keys.meta, "events", count)
        await pipe.execute()
