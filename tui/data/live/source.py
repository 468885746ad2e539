"""Reads a live queue."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from previewops.bundles import find_artifact
from previewops.tui.data.live.connection import QueueConnection
from previewops.tui.protocols import ExaminedCallback, JobQuery, SnapshotQuery

if TYPE_CHECKING:
    from previewops.health import Health
    from previewops.queue.pages import Cursor, DeadLetterFilter, DeadLetterGroup, ListPage
    from previewops.queue.records import JobRecord
    from previewops.snapshot.history import History
    from previewops.snapshot.model import Snapshot


class LiveSource:
    """``DataSource`` and ``HealthSource`` over a Redis connection."""

    def __init__(self, link: QueueConnection) -> None:
        self._link = link

    async def collect(self, query: SnapshotQuery) -> Snapshot:
        """One snapshot, in one round trip."""
        async with self._link.redis() as redis:
            from previewops.snapshot.reader import SnapshotReader

            return await SnapshotReader(redis, self._link.settings).read(
                history_s=query.history_s,
                history_min=query.history_min,
                events=query.events,
                after=query.events_after,
                running_jobs=True,
            )

    async def health(self, snapshot: Snapshot, history: History) -> Health:
        """The result of ``previewops health``, with the thresholds of the environment."""
        async with self._link.redis() as redis:
            from previewops.health import evaluate, parse_thresholds
            from previewops.health.collect import collect_inputs

            return evaluate(
                await collect_inputs(redis, self._link.settings, snapshot, buckets=history.tens.values()),
                parse_thresholds(os.environ),
            )

    async def jobs(self, query: JobQuery) -> ListPage:
        """A page of jobs."""
        async with self._link.redis() as redis:
            from previewops.queue.listing import JobList

            return await JobList(redis, self._link.settings).page(
                state=query.state,
                query=query.terms,
                newest_first=query.newest_first,
                cursor=query.cursor,
                limit=query.limit,
            )

    async def job(self, job_id: str) -> JobRecord:
        """One job with payload, result and attempts."""
        async with self._link.redis() as redis:
            from previewops.queue.queue import Queue

            return await Queue(redis, self._link.settings).status(job_id)

    async def dead_groups(self, limit: int) -> tuple[DeadLetterGroup, ...]:
        """The largest groups of dead letters."""
        async with self._link.redis() as redis:
            from previewops.queue.dead_letters import DeadLetters

            return await DeadLetters(redis, self._link.settings).groups(limit=limit)

    async def now_ms(self) -> int:
        """The Redis server's time in ms."""
        async with self._link.redis() as redis:
            from previewops.queue.dead_letters import DeadLetters

            return await DeadLetters(redis, self._link.settings).now_ms()

    async def dead_page(
        self, chosen: DeadLetterFilter, cursor: Cursor | None, limit: int, cut_off_ms: int | None = None
    ) -> ListPage:
        """A page of dead letters, newest first."""
        async with self._link.redis() as redis:
            from previewops.queue.dead_letters import DeadLetters

            return await DeadLetters(redis, self._link.settings).page(
                chosen, cursor=cursor, limit=limit, cut_off_ms=cut_off_ms
            )

    async def dead_count(
        self,
        chosen: DeadLetterFilter,
        cut_off_ms: int | None = None,
        on_examined: ExaminedCallback | None = None,
    ) -> int:
        """The number of dead letters that match."""

        async def tell(done: int, _total: int) -> None:
            if on_examined is not None:
                on_examined(done)

        async with self._link.redis() as redis:
            from previewops.queue.dead_letters import DeadLetters

            letters = DeadLetters(redis, self._link.settings)
            return await letters.count(chosen, tell, cut_off_ms=cut_off_ms)

    def artifact(self, record: JobRecord, path: str) -> Path:
        """The path of a bundle's file below DATA_DIR."""
        return find_artifact(self._link.settings.data_dir, record, path)
