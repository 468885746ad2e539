"""Polls the watched jobs of all event streams together.

One poll runs at a time, as one pipeline with a command per watched job. Without listeners there are no polls. A slow
listener gets the latest record and misses those between.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

import structlog

from previewops.api.backend import ApiBackend
from previewops.api.errors import Overloaded
from previewops.errors import PreviewopsError
from previewops.queue.records import JobRecord

POLL_INTERVAL_S = 0.2
MAX_JOBS_PER_POLL = 500

log = structlog.get_logger()


@dataclass(eq=False, slots=True)
class JobListener:
    """Listener of one job. ``record`` is the latest record, None if it is gone."""

    job_id: str
    record: JobRecord | None = None
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    def notify(self, record: JobRecord | None) -> None:
        """Stores the record and sets ``changed`` if a visible field changed."""
        if _visible_fields(record) != _visible_fields(self.record):
            self.record = record
            self.changed.set()


class JobWatcher:
    """Polls jobs and notifies their listeners."""

    def __init__(
        self,
        backend: ApiBackend,
        *,
        max_listeners: int,
        per_holder: int,
        poll_interval_s: float = POLL_INTERVAL_S,
    ) -> None:
        self._backend = backend
        self._max_listeners = max_listeners
        self._per_holder = per_holder
        self._holders: Counter[str] = Counter()
        self._poll_interval_s = poll_interval_s
        self._listeners: dict[str, set[JobListener]] = {}
        self._count = 0
        self._polling: asyncio.Task[None] | None = None
        self._unreadable: frozenset[str] = frozenset()
        self.closing = asyncio.Event()
        """Set when the process is shutting down; listeners then stop."""

    @contextmanager
    def subscribe(self, record: JobRecord, holders: Sequence[str] = ()) -> Iterator[JobListener]:
        """Subscribes to a job, starting from ``record``. Each of ``holders`` may have a share of the listeners.

        Raises:
            Overloaded: the maximum number of listeners is subscribed, in all or by one holder.
        """
        if self._count >= self._max_listeners:
            raise Overloaded(
                f"event streams: found {self._count} open, allowed {self._max_listeners}",
                hint="poll the job's status instead, or raise PREVIEW_API_STREAMS",
                retry_after_s=5,
            )
        for holder in holders:
            if self._holders[holder] >= self._per_holder:
                raise Overloaded(
                    f"event streams of {holder}: found {self._holders[holder]} open, allowed {self._per_holder}",
                    hint="poll the job's status instead, or raise PREVIEW_API_CLIENT_SHARE",
                    retry_after_s=5,
                )
        listener = JobListener(record.job_id, record)
        self._count += 1
        self._holders.update(holders)
        self._listeners.setdefault(record.job_id, set()).add(listener)
        if self._polling is None:
            self._polling = asyncio.create_task(self._poll_loop())
        try:
            yield listener
        finally:
            self._count -= 1
            self._holders.subtract(holders)
            self._holders += Counter()  # drops those without a listener
            listeners = self._listeners[record.job_id]
            listeners.discard(listener)
            if not listeners:
                del self._listeners[record.job_id]

    async def aclose(self) -> None:
        """Stops polling."""
        self.closing.set()
        if self._polling is not None:
            self._polling.cancel()
            with suppress(asyncio.CancelledError):
                await self._polling

    async def _poll_loop(self) -> None:
        try:
            while self._listeners:
                await asyncio.sleep(self._poll_interval_s)
                # Listeners are not notified of failures: their record stays valid until the next poll.
                try:
                    await self._poll()
                except PreviewopsError as error:
                    log.warning("api.watch-failed", error=error.message)
                except Exception as error:
                    log.error("api.watch-failed", error=str(error) or type(error).__name__, exc_info=True)
        finally:
            self._polling = None

    async def _poll(self) -> None:
        ids = list(self._listeners)
        unreadable: dict[str, Exception] = {}
        for start in range(0, len(ids), MAX_JOBS_PER_POLL):
            chunk = ids[start : start + MAX_JOBS_PER_POLL]
            async with self._backend.redis_permit():
                records = await self._backend.queue.records(chunk, on_unreadable=unreadable.__setitem__)
            records_by_id = {record.job_id: record for record in records}
            for job_id in chunk:
                if job_id in unreadable:
                    continue
                for listener in self._listeners.get(job_id, ()):
                    listener.notify(records_by_id.get(job_id))
        for job_id in unreadable.keys() - self._unreadable:
            error = unreadable[job_id]
            log.error(
                "api.watch-failed", jobId=job_id, error=f"cannot read its record: {error}", exc_info=error
            )
        self._unreadable = frozenset(unreadable)


def _visible_fields(record: JobRecord | None) -> object:
    """Returns the fields whose change is reported."""
    if record is None:
        return None
    return (record.state, record.progress, record.phase, record.attempts, record.crashes, record.requeues)
