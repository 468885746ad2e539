"""Moves a queue to another name, key by key. For names with a colon, which are not allowed any more.

Nothing may use either name meanwhile. An interrupted move is continued by the next one: the meta hash moves last, and
a queue without it is not in use.
"""

from __future__ import annotations

import re

from redis.asyncio import Redis

from previewops.errors import PreviewopsError, UsageError
from previewops.queue.keys import ARQ_GUARD, ARQ_JOB_PREFIX, Keys
from previewops.settings import Settings

IN_USE_MS = 60_000
"""A queue with a heartbeat later than this ago is in use."""

_BATCH = 500
_OLD_NAME = re.compile(r"[A-Za-z0-9._:-]{1,100}")


class QueueInUse(PreviewopsError):
    """A queue that is to be moved, or the name it moves to, is in use."""

    code = "queue-in-use"


async def rename_queue(redis: Redis, old_name: str, settings: Settings) -> int:
    """Moves all keys of the queue ``old_name`` to the queue of ``settings``. Returns the number of keys.

    Raises:
        UsageError: ``old_name`` cannot be the name of a queue.
        QueueInUse: there is no such queue, workers use it, or the new name is taken.
    """
    if _OLD_NAME.fullmatch(old_name) is None or old_name == settings.queue_name:
        allowed = f"the name of another queue than {settings.queue_name}"
        raise UsageError(f"--rename-from: found {old_name!r}, allowed {allowed}")
    old, new = Keys(old_name), Keys(settings.queue_name)
    await _check_unused(redis, old, new)
    moved = 0
    for key in [key async for key in redis.scan_iter(f"{_escape(old_name)}:*", count=1000)]:
        moved += await _move(redis, old, new, key)
    moved += await _move_schedule(redis, old, new)
    return moved + int(await redis.renamenx(old.meta, new.meta))


async def _check_unused(redis: Redis, old: Keys, new: Keys) -> None:
    seconds, _ = await redis.time()
    since_ms = int(seconds) * 1000 - IN_USE_MS
    if not await redis.exists(old.meta):
        raise QueueInUse(f"queue {old.queue}: found no data, allowed a queue that was used")
    for keys, index in ((old, old.workers), (old, old.supervisors), (new, new.workers)):
        count = await redis.zcount(index, since_ms, "+inf")
        if count:
            hint = "stop its workers, supervisors and producers, and wait a minute"
            raise QueueInUse(
                f"queue {keys.queue}: found {count} workers or supervisors, allowed none", hint=hint
            )
    if await redis.exists(new.meta):
        hint = "choose a name that no queue has: previewops --queue NAME doctor --rename-from OLD"
        raise QueueInUse(f"queue {new.queue}: found data of a queue, allowed an unused name", hint=hint)


async def _move(redis: Redis, old: Keys, new: Keys, key: bytes) -> int:
    """Renames one key, unless it is another queue's. Returns 1 if it did."""
    suffix = key[len(old.queue) :]
    fixed = {name.removeprefix(old.queue).encode(): kind for name, kind in old.fixed_types().items()}
    families = {name.removeprefix(old.queue).encode(): kind for name, kind in old.family_types().items()}
    own = suffix in fixed or any(suffix.startswith(prefix) for prefix in families)
    if not own or key == old.meta.encode():
        return 0
    kind = fixed.get(suffix) or next((k for prefix, k in families.items() if suffix.startswith(prefix)), None)
    if kind is not None and (await redis.type(key)).decode() != kind:
        return 0
    return int(await redis.renamenx(key, new.queue.encode() + suffix))


async def _move_schedule(redis: Redis, old: Keys, new: Keys) -> int:
    """Moves the sorted set that is named like the queue. Another queue may have an index of the same name."""
    if not await redis.exists(old.schedule):
        return 0
    if not await _is_shared(redis, old.queue):
        return int(await redis.renamenx(old.schedule, new.schedule))
    members = await redis.zrange(old.schedule, 0, -1, withscores=True)
    for start in range(0, len(members), _BATCH):
        batch = members[start : start + _BATCH]
        own = [pair for pair in batch if pair[0] == ARQ_GUARD or await _is_own(redis, new, pair[0])]
        if own:
            async with redis.pipeline(transaction=True) as pipe:
                pipe.zadd(new.schedule, dict(own))
                pipe.zrem(old.schedule, *(job_id for job_id, _ in own))
                await pipe.execute()
    return 1


async def _is_shared(redis: Redis, name: str) -> bool:
    """Whether the name is also a key of another queue: of one whose name is its beginning."""
    parts = name.split(":")
    others = [":".join(parts[:end]) for end in range(1, len(parts))]
    return any([await redis.exists(Keys(other).meta) for other in others])


async def _is_own(redis: Redis, new: Keys, job_id: bytes) -> bool:
    record = await redis.execute_command("HGET", new.job_prefix.encode() + job_id, "state")
    pending = (b"waiting", b"delayed", b"active")
    return record in pending and bool(await redis.exists(ARQ_JOB_PREFIX.encode() + job_id))


def _escape(name: str) -> str:
    """Escapes a name for SCAN's patterns. Names have no characters with a meaning there, except in old queues."""
    return re.sub(r"([*?\[\]\\])", r"\\\1", name)
