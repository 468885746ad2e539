"""Finds the queues of a Redis database by their keys: no list of them is kept."""

from __future__ import annotations

from typing import TYPE_CHECKING

from previewops.queue.keys import Keys, KeyType
from previewops.queue.queue_names import QueueNames
from previewops.setting_values import QUEUE_NAME

if TYPE_CHECKING:
    from redis.asyncio import Redis

MAX_CALLS = 200
_COUNT = 2_500
"""Keys that one SCAN looks at. It takes the server about 1 ms."""

_SUFFIX = Keys("").meta


async def find_queues(redis: Redis, *, max_calls: int = MAX_CALLS, count: int = _COUNT) -> QueueNames:
    """Returns the queues that have a hash of fields, as every queue has after its first job or pause.

    At most ``max_calls`` calls of SCAN, each over about ``count`` keys: Redis serves others between them.
    """
    names: set[str] = set()
    cursor = 0
    for _ in range(max_calls):
        cursor, keys = await redis.scan(cursor, match=f"*{_SUFFIX}", count=count, _type=KeyType.HASH.value)
        for key in keys:
            name = key.decode("utf-8", "replace").removesuffix(_SUFFIX)
            if QUEUE_NAME.fullmatch(name):
                names.add(name)
        if not cursor:
            return QueueNames(tuple(sorted(names)), complete=True)
    return QueueNames(tuple(sorted(names)), complete=False)
