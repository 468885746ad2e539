"""Reading a live queue."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from previewops.bundles import artifact_path
from previewops.tui.live.link import Link
from previewops.tui.ports import JobQuery, Looked, Want

if TYPE_CHECKING:
    from previewops.health import Health
    from previewops.history import History
    from previewops.listviews import Cursor, DeadFilter, DeadGroup, ListPage
    from previewops.records import JobRecord
    from previewops.views import Snapshot


class LiveSource:
    """``ports.Source`` and ``ports.Judge`` over a link."""

    def __init__(self, link: Link) -> None:
        self._link = link

    async def collect(self, want: Want) -> Snapshot:
        """One snapshot, in one round trip."""
        async with self._link.redis() as redis:
            from previewops.snapshot import Snapshots

            return await Snapshots(redis, self._link.settings).take(
                history_s=want.history_s,
                history_min=want.history_min,
                events=want.events,
                after=want.events_after,
                runs=True,
            )

    async def health(self, snapshot: Snapshot, history: History) -> Health:
        """The verdicts of the command ``health``, with the environment's thresholds."""
        async with self._link.redis() as redis:
            from previewops.health import judge, thresholds_of
            from previewops.healthfacts import gather

            return judge(
                await gather(redis, self._link.settings, snapshot, buckets=history.tens.values()),
                thresholds_of(os.environ),
            )

    async def jobs(self, query: JobQuery) -> ListPage:
        """A page of jobs."""
        async with self._link.redis() as redis:
            from previewops.listing import JobList

            return await JobList(redis, self._link.settings).page(
                state=query.state,
                terms=query.terms,
                newest_first=query.newest_first,
                cursor=query.cursor,
                limit=query.limit,
            )

    async def job(self, job_id: str) -> JobRecord:
        """One job whole."""
        async with self._link.redis() as redis:
            from previewops.queue import Queue

            return await Queue(redis, self._link.settings).status(job_id)

    async def dead_groups(self, limit: int) -> tuple[DeadGroup, ...]:
        """The largest groups of dead letters."""
        async with self._link.redis() as redis:
            from previewops.deadletters import DeadLetters

            return await DeadLetters(redis, self._link.settings).groups(limit=limit)

    async def now_ms(self) -> int:
        """The server's time."""
        async with self._link.redis() as redis:
            from previewops.deadletters import DeadLetters

            return await DeadLetters(redis, self._link.settings).now_ms()

    async def dead_page(
        self, chosen: DeadFilter, cursor: Cursor | None, limit: int, cut_off_ms: int | None = None
    ) -> ListPage:
        """A page of dead letters, newest first."""
        async with self._link.redis() as redis:
            from previewops.deadletters import DeadLetters

            return await DeadLetters(redis, self._link.settings).page(
                chosen, cursor=cursor, limit=limit, cut_off_ms=cut_off_ms
            )

    async def dead_count(
        self, chosen: DeadFilter, cut_off_ms: int | None = None, looked: Looked | None = None
    ) -> int:
        """How many dead letters a filter means."""

        async def tell(done: int, _total: int) -> None:
            if looked is not None:
                looked(done)

        async with self._link.redis() as redis:
            from previewops.deadletters import DeadLetters

            letters = DeadLetters(redis, self._link.settings)
            return await letters.count(chosen, tell, cut_off_ms=cut_off_ms)

    def artifact(self, record: JobRecord, path: str) -> Path:
        """Where a file of the job's bundle is below DATA_DIR."""
        return artifact_path(self._link.settings.data_dir, record, path)
