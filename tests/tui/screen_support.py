"""The app without a queue: a fake data source and a fake executor."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import cast

from textual.pilot import Pilot
from textual.strip import Strip
from textual.widget import Widget

from previewops.errors import BundleNotFound, CommandRejected, JobNotFound, RedisUnavailable
from previewops.health import Health
from previewops.queue.dead_letter_filter import DeadLetterFilter, DeadLetterGroup
from previewops.queue.job_selection import JobSelection, MatchCount
from previewops.queue.pages import Cursor, ListPage
from previewops.queue.projects import ProjectLoad
from previewops.queue.queue_names import QueueNames
from previewops.queue.records import JobRecord
from previewops.queue.webhook_messages import WebhookList
from previewops.snapshot.breakdown import Breakdown, Dimension
from previewops.snapshot.history import History
from previewops.snapshot.model import EventPage, QueueEvent, Snapshot
from previewops.states import JobState
from previewops.stores.folder.store import FolderStore
from previewops.stores.port import ArtifactFile, BundleStore
from previewops.tui.app import OperatorApp
from previewops.tui.commands.commands import (
    CommandExecutor,
    CommandOutcome,
    CommandProgress,
    OperatorCommand,
    ReadOnlyExecutor,
)
from previewops.tui.options import Options
from previewops.tui.protocols import ExaminedCallback, JobQuery, SnapshotQuery
from tests.tui import scenes

PATIENCE_S = 120.0


class ManualClock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.seconds = 1_000.0

    def now_ms(self) -> int:
        return scenes.NOW_MS

    def monotonic(self) -> float:
        return self.seconds


@dataclass
class FakeSource:
    """``DataSource`` and ``HealthSource`` over sample data.

    While ``down`` is set every call fails as with Redis unavailable. ``fault`` fails all calls but snapshots.
    """

    snapshot: Snapshot = scenes.BUSY
    verdict: Health = scenes.HEALTH
    down: bool = False
    fault: Exception | None = None
    snapshot_queries: list[SnapshotQuery] = field(default_factory=list)
    most_at_once: int = 0
    _at_once: int = 0

    def _up(self, *, snapshot: bool = False) -> None:
        if self.fault is not None and not snapshot:
            raise self.fault
        if self.down:
            raise RedisUnavailable(
                "redis://127.0.0.1:6379", "connection refused: no server listens at this address"
            )

    async def collect(self, query: SnapshotQuery) -> Snapshot:
        self.snapshot_queries.append(query)
        self._at_once += 1
        self.most_at_once = max(self.most_at_once, self._at_once)
        await asyncio.sleep(0)
        self._at_once -= 1
        self._up(snapshot=True)
        fresh = tuple(event for event in self.snapshot.events if event.event_id > query.events_after)
        return replace(self.snapshot, events=fresh)

    async def health(self, snapshot: Snapshot, history: History) -> Health:
        self._up()
        return self.verdict

    # -- actions of operators, oldest first

    acts: tuple[QueueEvent, ...] = tuple(event for event in scenes.BUSY.events if event.fields.get("who"))

    async def actions(self, before: str | None, limit: int) -> EventPage:
        self._up()
        ids = [event.event_id for event in self.acts]
        end = len(ids) if before is None else ids.index(before)
        page = self.acts[max(0, end - limit) : end][::-1]
        return EventPage(page, page[-1].event_id if end > limit else None)

    # -- other queues of the server

    queue_names: tuple[str, ...] = ("preview-jobs", "trial-jobs")

    async def queues(self) -> QueueNames:
        self._up()
        return QueueNames(self.queue_names, complete=True)

    # -- ended jobs

    ended: Mapping[Dimension, Breakdown] = field(default_factory=lambda: scenes.BREAKDOWNS)

    async def breakdown(self, dimension: Dimension) -> Breakdown:
        self._up()
        return self.ended[dimension]

    loads: tuple[ProjectLoad, ...] = scenes.LOADS

    async def project_loads(self) -> tuple[ProjectLoad, ...]:
        self._up()
        return self.loads

    # -- logs of workers

    logs: dict[str, str] = field(default_factory=dict)

    async def worker_log(self, worker_id: str) -> str:
        self._up()
        if worker_id not in self.logs:
            raise CommandRejected(f"no supervisor has a worker {worker_id}")
        return self.logs[worker_id]

    # -- webhooks, the oldest first

    failed_webhooks: WebhookList = field(default_factory=lambda: WebhookList(0, ()))
    waiting_webhooks: WebhookList = field(default_factory=lambda: WebhookList(0, ()))

    async def webhooks(self, *, failed: bool, limit: int) -> WebhookList:
        self._up()
        return self.failed_webhooks if failed else self.waiting_webhooks

    # -- jobs: one call examines ``page_budget`` jobs; ``bundles`` is the folder of their files

    listed: tuple[JobRecord, ...] = scenes.JOBS
    jobs_by_id: dict[str, JobRecord] = field(default_factory=lambda: {"lesson-500": scenes.DEAD_JOB})
    bundles: Path | None = None
    store: BundleStore | None = None
    page_budget: int = 2_000
    queries: list[JobQuery] = field(default_factory=list)
    opened: list[str] = field(default_factory=list)

    async def jobs(self, query: JobQuery) -> ListPage:
        self.queries.append(query)
        self._up()
        start = int(query.cursor.score) if query.cursor is not None else 0
        order = self.listed if query.newest_first else self.listed[::-1]
        rows: list[JobRecord] = []
        place = start
        while place < len(order) and len(rows) < query.limit and place - start < self.page_budget:
            job, place = order[place], place + 1
            if query.state in (None, job.state) and query.terms.matches(_fields_of(job)):
                rows.append(job)
        cursor = Cursor("all", b"%d" % place, b"") if place < len(order) else None
        return ListPage(tuple(rows), cursor, place - start)

    async def count_jobs(
        self, selection: JobSelection, *, sample: int, on_examined: ExaminedCallback | None = None
    ) -> MatchCount:
        self._up()
        await self._count_slowly(on_examined)
        jobs = [
            job
            for job in self.listed[::-1]
            if (not selection.states or job.state in selection.states)
            and selection.query.matches(_fields_of(job))
        ]
        ids: dict[JobState, tuple[str, ...]] = {}
        for job in jobs:
            ids[job.state] = (*ids.get(job.state, ()), job.job_id)[:sample]
        return MatchCount(Counter(job.state for job in jobs), scenes.NOW_MS, ids)

    async def job(self, job_id: str) -> JobRecord:
        self.opened.append(job_id)
        self._up()
        if job_id in self.jobs_by_id:
            return self.jobs_by_id[job_id]
        for letter in self.dead_letters:
            if letter.job_id == job_id:
                return scenes.full_dead_record(letter)
        for job in self.listed:
            if job.job_id == job_id:
                return replace(job, payload=scenes.PAYLOAD)
        raise JobNotFound(job_id, "preview-jobs")

    def artifact(self, record: JobRecord, path: str) -> ArtifactFile:
        if self.store is not None:
            return self.store.file(record, path)
        if self.bundles is None:
            raise BundleNotFound(
                f"the bundle of job {record.job_id} is not on this machine", hint="set DATA_DIR"
            )
        return FolderStore(self.bundles).file(record, path)

    # -- dead letters: ``dead_letters``, newest first; filters without job ids match ``beyond`` more

    dead_letters: tuple[JobRecord, ...] = field(default_factory=scenes.dead_records)
    beyond: int = 0
    dead_pages: list[DeadLetterFilter] = field(default_factory=list)
    dead_counts: list[DeadLetterFilter] = field(default_factory=list)
    counts_go_on: asyncio.Event | None = None
    """Counts with progress wait at 40,000 until this is set."""
    counts_end: asyncio.Event | None = None
    """Cancelled counts wait until this is set, as a Redis call that is being cancelled does."""
    counts_ended: int = 0

    async def _count_slowly(self, on_examined: ExaminedCallback | None) -> None:
        if on_examined is None or self.counts_go_on is None:
            return
        on_examined(40_000)
        try:
            await self.counts_go_on.wait()
        finally:
            if self.counts_end is not None:
                await self.counts_end.wait()
            self.counts_ended += 1

    def _chosen(self, chosen: DeadLetterFilter) -> list[JobRecord]:
        return [letter for letter in self.dead_letters if _means(chosen, letter)]

    async def dead_groups(self, limit: int) -> tuple[DeadLetterGroup, ...]:
        self._up()
        by_fingerprint: dict[str, list[JobRecord]] = {}
        for letter in self.dead_letters:
            by_fingerprint.setdefault(letter.fingerprint or "", []).append(letter)
        groups = [
            DeadLetterGroup(
                name, len(letters), letters[-1].finished_ms or 0, letters[0].finished_ms or 0, letters[0]
            )
            for name, letters in by_fingerprint.items()
        ]
        return tuple(sorted(groups, key=lambda group: -group.count)[:limit])

    async def now_ms(self) -> int:
        self._up()
        return scenes.NOW_MS

    async def dead_page(
        self, chosen: DeadLetterFilter, cursor: Cursor | None, limit: int, cut_off_ms: int | None = None
    ) -> ListPage:
        self._up()
        self.dead_pages.append(chosen)
        start = cast("int", cursor) or 0  # a cursor is opaque except for its source
        records = [
            record
            for record in self._chosen(chosen)
            if cut_off_ms is None or (record.finished_ms or 0) <= cut_off_ms
        ]
        more = start + limit < len(records)
        following = cast("Cursor", start + limit) if more else None
        return ListPage(tuple(records[start : start + limit]), following, limit)

    async def dead_count(
        self,
        chosen: DeadLetterFilter,
        cut_off_ms: int | None = None,
        on_examined: ExaminedCallback | None = None,
    ) -> int:
        self._up()
        self.dead_counts.append(chosen)
        await self._count_slowly(on_examined)
        beyond = 0 if chosen.job_ids or chosen.fingerprint else self.beyond
        return len(self._chosen(chosen)) + beyond


def _fields_of(job: JobRecord) -> dict[str, str]:
    return {
        "id": job.job_id,
        "project": job.project_id,
        "priority": job.priority.value,
        "state": job.state.value,
        "worker": job.worker or "",
        "error": f"{job.error_class} {job.code} {job.reason}",
    }


def _means(chosen: DeadLetterFilter, letter: JobRecord) -> bool:
    if chosen.job_ids and letter.job_id not in chosen.job_ids:
        return False
    if chosen.fingerprint is not None and letter.fingerprint != chosen.fingerprint:
        return False
    error = f"{letter.error_class} {letter.code} {letter.reason}"
    fields = {"id": letter.job_id, "project": letter.project_id, "priority": letter.priority, "error": error}
    return chosen.query.matches(fields)


class FakeExecutor:
    """Records the commands and reports them as done."""

    def __init__(self) -> None:
        self.commands: list[OperatorCommand] = []

    async def execute(self, command: OperatorCommand, progress: CommandProgress) -> CommandOutcome:
        self.commands.append(command)
        return CommandOutcome("done")


async def until(pilot: Pilot[int], condition: Callable[[], object]) -> None:
    """Lets the app run until the condition holds.

    Raises:
        AssertionError: it never did.
    """
    deadline = time.monotonic() + PATIENCE_S
    while True:
        await pilot.pause()
        if condition():
            return
        while not condition():
            assert time.monotonic() < deadline, f"the condition did not become true\n{screen_text(pilot.app)}"
            await asyncio.sleep(0.005)  # threads and sockets need real time; a pause takes all widgets some


def screen_text(app: OperatorApp) -> str:
    """The text of the screen."""
    strips = app.screen._compositor.render_strips()
    return "\n".join(strip.text for strip in strips)


async def settled(pilot: Pilot[int], app: OperatorApp) -> None:
    """Waits until no fetch is running and two frames in a row are equal, including colours."""
    seen: list[Strip] = []

    def still() -> bool:
        nonlocal seen
        fetching = any(worker.group != "poll" and not worker.is_finished for worker in app.workers)
        before, seen = seen, app.screen._compositor.render_strips()
        return not fetching and seen == before

    await until(pilot, still)


def make_app(
    source: FakeSource | None = None,
    executor: CommandExecutor | None = None,
    *,
    clock: ManualClock | None = None,
    **options: object,
) -> OperatorApp:
    """The app over sample data; ``options`` are those of ``Options``."""
    chosen = Options(**{"queue_name": "preview-jobs", **options})  # type: ignore[arg-type]
    source, executor = source or FakeSource(), executor or FakeExecutor()
    return OperatorApp(
        source,
        ReadOnlyExecutor(executor) if chosen.read_only else executor,
        chosen,
        health_source=source,
        clock=clock or ManualClock(),
    )


def shown(widget: Widget) -> str:
    """The text of a widget, one line per row, without trailing blanks."""
    return "\n".join(widget.render_line(y).text.rstrip() for y in range(widget.size.height))


async def renew(pilot: Pilot[int], app: OperatorApp, source: FakeSource, snapshot: Snapshot) -> None:
    """Shows another snapshot."""
    source.snapshot = snapshot
    before = len(source.snapshot_queries)
    app.poller.poll_now()
    await until(pilot, lambda: len(source.snapshot_queries) > before)
    await pilot.pause()
