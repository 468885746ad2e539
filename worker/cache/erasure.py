"""Removes what deleted jobs have left in the cache of this host."""

from __future__ import annotations

import asyncio
import hashlib
import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from previewops.queue.erasures import ErasureLog, Erasures, file_mark, job_mark
from previewops.settings import Settings
from previewops.stores.folder.trees import remove
from previewops.stores.manifest import MANIFEST_FILE
from previewops.worker.cache.store import ENTRY_FILE, CacheStore

log = structlog.get_logger()

_MARKED_FILES = (MANIFEST_FILE, "thumbnail")


INTERVAL_S = 60.0
"""Interval in seconds at which a worker looks for deleted jobs."""


class CacheEraser:
    """Removes cache entries of deleted jobs."""

    def __init__(self, settings: Settings, cache: CacheStore) -> None:
        self._settings = settings
        self._cache = cache
        self._late_ms = 2 * settings.job_timeout_s * 1000
        self._seen_ms = 0

    async def run(self, redis: Redis) -> None:
        """Removes entries at once and then every ``INTERVAL_S``, until it is cancelled."""
        erasures = ErasureLog(redis, self._settings)
        while True:
            try:
                removed = await self.step(erasures)
                if removed:
                    log.info("cache.erased", entries=removed)
            except (RedisError, OSError) as error:
                log.warning("sweep.failed", error=f"{type(error).__name__}: {error}")
            await asyncio.sleep(INTERVAL_S)

    async def step(self, erasure_log: ErasureLog) -> int:
        """Removes entries of the jobs deleted since the last step, or not long before. Returns their number.

        An attempt that outlives its lease may write an entry late, so newer deletions are looked for again.
        """
        erasures = await erasure_log.since(max(0, self._seen_ms - self._late_ms))
        if not erasures:
            return 0
        removed = await asyncio.to_thread(erase_entries, self._cache, erasures)
        self._seen_ms = erasures.until_ms
        return removed


def erase_entries(cache: CacheStore, erasures: Erasures) -> int:
    """Removes the entries that a deleted job has written, and those with its files. Returns their number."""
    removed = 0
    for entry in list(cache.list_entries()):
        if _is_marked(entry.folder, erasures):
            with suppress(OSError):
                remove(entry.folder)
                removed += 1
    return removed


def _is_marked(folder: Path, erasures: Erasures) -> bool:
    with suppress(OSError):
        for name in _MARKED_FILES:
            path = folder / name
            if path.is_file() and file_mark(hashlib.sha256(path.read_bytes()).hexdigest()) in erasures.files:
                return True
        return _job_of(folder) in erasures.jobs
    return False


def _job_of(folder: Path) -> str | None:
    """The mark of the job that wrote an entry with a bundle; None for another entry."""
    try:
        entry: Any = json.loads((folder / ENTRY_FILE).read_bytes())
        preview = entry["about"]["preview"]
        return job_mark(preview["projectId"], preview["jobId"])
    except (ValueError, KeyError, TypeError):
        return None
