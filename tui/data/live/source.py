"""Reads a live queue."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from previewops.stores.selection import open_store
from previewops.tui.data.live.connection import QueueConnection
from previewops.tui.protocols import ExaminedCallback, JobQuery, SnapshotQuery

if TYPE_CHECKING:
    from previewops.health import Health
    from previewops.queue.dead_letter_filter import DeadLetterFilter, DeadLetterGroup
    from previewops.queue.dead_letters import DeadLetters
    from previewops.queue.job_selection import JobSelection, MatchCount
    from previewops.queue.pages import Cursor, ListPage
    from previewops.queue.projects import ProjectLoad
    from previewops.queue.queue_names import QueueNames
    from previewops.queue.records import JobRecord
    from previewops.queue.webhook_messages import WebhookList
    from previewops.snapshot.breakdown import Breakdown, Dimension
    from previewops.snapshot.breakdown_reader import BreakdownReader
    from previewops.snapshot.history import History
    from previewops.snapshot.model import EventPage, Snapshot
    from previewops.stores.port import ArtifactFile

MAX_LOADS = 200
"""Projects of each kind (waiting, held, with limits) that the screen reads."""


class LiveSource:
    """``DataSource`` and ``HealthSource`` over a Redis connection."""

    def __init__(self, connection: QueueConnection) -> None:
        self._connection = connection
        self._settings = connection.settings
        self._store = open_store(connection.settings)
        self._breakdowns: BreakdownReader | None = None

    async def collect(self, query: SnapshotQuery) -> Snapshot:
        async with self._connection.redis() as redis:
            from previewops.snapshot.reader import SnapshotReader

            return await SnapshotReader(redis, self._settings).read(
                history_s=query.history_s,
                history_min=query.history_min,
                events=query.events,
                after=query.events_after,
                running_jobs=True,
                check_records=True,
            )

    async def health(self, snapshot: Snapshot, history: History) -> Health:
        """The result of ``previewops health``, with the thresholds of the environment."""
        async with self._connection.redis() as redis:
            from previewops.health import evaluate, parse_thresholds
            from previewops.health.collect import collect_inputs

            return evaluate(
                await collect_inputs(redis, self._settings, snapshot, buckets=history.tens.values()),
                parse_thresholds(os.environ),
            )

    async def jobs(self, query: JobQuery) -> ListPage:
        async with self._connection.redis() as redis:
            from previewops.queue.listing import JobList

            return await JobList(redis, self._settings).page(
                state=query.state,
                query=query.terms,
                newest_first=query.newest_first,
                cursor=query.cursor,
                limit=query.limit,
            )

    async def count_jobs(
        self, selection: JobSelection, *, sample: int, on_examined: ExaminedCallback | None = None
    ) -> MatchCount:
        async def report(examined: int) -> None:
            if on_examined is not None:
                on_examined(examined)

        async with self._connection.redis() as redis:
            from previewops.queue.matching_jobs import MatchingJobs

            return await MatchingJobs(redis, self._settings).count(selection, report, sample=sample)

    async def job(self, job_id: str) -> JobRecord:
        async with self._connection.redis() as redis:
            from previewops.queue.queue import Queue

            return await Queue(redis, self._settings).status(job_id)

    @asynccontextmanager
    async def _dead_letters(self) -> AsyncIterator[DeadLetters]:
        async with self._connection.redis() as redis:
            from previewops.queue.dead_letters import DeadLetters

            yield DeadLetters(redis, self._settings)

    async def dead_groups(self, limit: int) -> tuple[DeadLetterGroup, ...]:
        async with self._dead_letters() as dead_letters:
            return await dead_letters.groups(limit=limit)

    async def actions(self, before: str | None, limit: int) -> EventPage:
        async with self._connection.redis() as redis:
            from previewops.snapshot.event_log import EventLog

            return await EventLog(redis, self._settings).page(operators=True, before=before, limit=limit)

    async def now_ms(self) -> int:
        async with self._dead_letters() as dead_letters:
            return await dead_letters.now_ms()

    async def dead_page(
        self, dead_filter: DeadLetterFilter, cursor: Cursor | None, limit: int, cut_off_ms: int | None = None
    ) -> ListPage:
        async with self._dead_letters() as dead_letters:
            return await dead_letters.page(dead_filter, cursor=cursor, limit=limit, cut_off_ms=cut_off_ms)

    async def dead_count(
        self,
        dead_filter: DeadLetterFilter,
        cut_off_ms: int | None = None,
        on_examined: ExaminedCallback | None = None,
    ) -> int:
        async def report(examined: int, _total: int) -> None:
            if on_examined is not None:
                on_examined(examined)

        async with self._dead_letters() as dead_letters:
            return await dead_letters.count(dead_filter, report, cut_off_ms=cut_off_ms)

    async def queues(self) -> QueueNames:
        async with self._connection.redis() as redis:
            from previewops.queue.queue_search import find_queues

            return await find_queues(redis)

    async def breakdown(self, dimension: Dimension) -> Breakdown:
        async with self._connection.redis() as redis:
            from previewops.snapshot.breakdown_reader import BreakdownReader

            if self._breakdowns is None:
                self._breakdowns = BreakdownReader(redis, self._settings)
            return await self._breakdowns.read(dimension)

    async def project_loads(self) -> tuple[ProjectLoad, ...]:
        async with self._connection.redis() as redis:
            from previewops.queue.projects import project_loads

            return (await project_loads(redis, self._settings, limit=MAX_LOADS)).projects

    async def worker_log(self, worker_id: str) -> str:
        async with self._connection.redis() as redis:
            from previewops.supervisor.commands import FleetControl

            control = FleetControl(redis, self._settings, who=self._connection.who)
            return await control.read_log(worker_id)

    async def webhooks(self, *, failed: bool, limit: int) -> WebhookList:
        async with self._connection.redis() as redis:
            from previewops.queue.webhooks import Webhooks

            return await Webhooks(redis, self._settings).list_messages(failed=failed, limit=limit)

    def artifact(self, record: JobRecord, path: str) -> ArtifactFile:
        return self._store.file(record, path)
