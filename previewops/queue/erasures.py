"""What a deletion removes from the caches of all hosts: workers read it with each sweep."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from previewops.queue.keys import Keys
from previewops.queue.scripts import ScriptName, Scripts
from previewops.settings import Settings

if TYPE_CHECKING:
    from redis.asyncio import Redis

_DIGITS = 16


def job_mark(project_id: str, job_id: str) -> str:
    """Returns the mark of a job, from which its ids cannot be read."""
    return hashlib.sha256(f"{project_id}/{job_id}".encode()).hexdigest()[:_DIGITS]


def file_mark(sha256: str) -> str:
    """Returns the mark of a file from its hexadecimal digest."""
    return sha256[:_DIGITS]


@dataclass(frozen=True, slots=True)
class Erasures:
    """Marks of deleted jobs and of the files of their bundles. ``until_ms`` is when the last was recorded."""

    jobs: frozenset[str] = frozenset()
    files: frozenset[str] = frozenset()
    until_ms: int = 0

    def __bool__(self) -> bool:
        return bool(self.jobs)


class ErasureLog:
    """The erasures of one queue."""

    def __init__(self, redis: Redis, settings: Settings) -> None:
        self._redis = redis
        self._keys = Keys(settings.queue_name)
        self._scripts = Scripts(redis, self._keys)
        self._kept_ms = settings.cache_max_age_s * 1000

    async def record(self, project_id: str, job_id: str, digests: Iterable[str]) -> None:
        """Records a deleted job, and the digests of its files that caches have. Kept for PREVIEW_CACHE_MAX_AGE_S."""
        marks = {"job": job_mark(project_id, job_id), "files": sorted({*map(file_mark, digests)})}
        await self._scripts.run(
            ScriptName.RECORD_ERASURE, json.dumps(marks, separators=(",", ":")), self._kept_ms
        )

    async def since(self, ms: int) -> Erasures:
        """Returns the erasures recorded after ``ms`` (server ms)."""
        rows = await self._redis.zrangebyscore(self._keys.erasures, f"({ms}", "+inf", withscores=True)
        jobs: set[str] = set()
        files: set[str] = set()
        for raw, _ in rows:
            match _parse(raw):
                case {"job": str(job), "files": [*marks]}:
                    jobs.add(job)
                    files.update(mark for mark in marks if isinstance(mark, str))
        return Erasures(frozenset(jobs), frozenset(files), int(rows[-1][1]) if rows else ms)


def _parse(raw: bytes) -> object:
    try:
        return json.loads(raw)
    except (ValueError, RecursionError):
        return None  # written by another program
