"""Checks a queue when a process starts, so that it fails with one sentence and not in the middle of its work."""

from __future__ import annotations

from typing import TYPE_CHECKING

from previewops.errors import ForeignKey
from previewops.queue.keys import SHARED_TYPES, Keys
from previewops.queue.scripts import ScriptName, Scripts
from previewops.settings import Settings

if TYPE_CHECKING:
    from redis.asyncio import Redis


async def check_queue(redis: Redis, settings: Settings) -> tuple[ForeignKey, ...]:
    """Checks the layout and the types of the queue's keys, in one round trip.

    Returns the keys of another type without which jobs still run: events, counters, indexes of ended jobs.

    Raises:
        ForeignKey: a key without which no job can be claimed has another type.
        redis.exceptions.ResponseError: a newer build wrote the data (``connection.stored_data_error`` translates it).
    """
    keys = Keys(settings.queue_name)
    types = keys.fixed_types() | SHARED_TYPES
    arguments = [part for key, kind in types.items() for part in (key, kind.value)]
    rows = await Scripts(redis, keys).run(ScriptName.CHECK_KEYS, *arguments)
    foreign = [ForeignKey(*(part.decode() for part in row)) for row in rows]
    for error in foreign:
        if error.key in keys.core():
            raise error
    return tuple(foreign)
