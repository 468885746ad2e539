"""Interfaces that the screen depends on: ``DataSource`` and ``HealthSource``; commands go to a ``CommandExecutor``.

``data.live`` implements them for a queue, ``data.replay`` for a recording, which contains the health results itself.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, TypeAlias

from previewops.errors import PreviewopsError
from previewops.queue.filter_query import FilterQuery

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

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
    from previewops.snapshot.model import EventPage, Snapshot
    from previewops.states import JobState
    from previewops.stores.port import ArtifactFile
    from previewops.tui.commands.commands import CommandExecutor


ExaminedCallback: TypeAlias = "Callable[[int], None]"
"""Receives the number of jobs examined so far."""


class NotRecorded(PreviewopsError):
    """A recording contains snapshots only: it cannot list or open jobs."""

    code = "not-recorded"


@dataclass(frozen=True, slots=True)
class SnapshotQuery:
    """What a snapshot must contain besides counts and running jobs: history in s and min, events after an id."""

    history_s: int = 0
    history_min: int = 0
    events: int = 0
    events_after: str = ""


@dataclass(frozen=True, slots=True)
class JobQuery:
    """Which jobs to list, and from which cursor on."""

    state: JobState | None = None
    terms: FilterQuery = field(default_factory=FilterQuery)
    newest_first: bool = True
    cursor: Cursor | None = None
    limit: int = 200


class DataSource(Protocol):
    """Source of snapshots and jobs. Every call may raise ``PreviewopsError``; its message is shown."""

    async def collect(self, query: SnapshotQuery) -> Snapshot:
        """One snapshot of the queue."""
        ...

    async def jobs(self, query: JobQuery) -> ListPage:
        """A page of jobs."""
        ...

    async def count_jobs(
        self, selection: JobSelection, *, sample: int, on_examined: ExaminedCallback | None = None
    ) -> MatchCount:
        """The number of jobs that match now, by state, and the ids of up to ``sample`` of them.

        ``on_examined`` is called as by ``dead_count``.
        """
        ...

    async def job(self, job_id: str) -> JobRecord:
        """One job with payload, result and attempts."""
        ...

    async def dead_groups(self, limit: int) -> tuple[DeadLetterGroup, ...]:
        """The largest groups of dead letters, largest first."""
        ...

    async def actions(self, before: str | None, limit: int) -> EventPage:
        """A page of what operators did, newest first; ``before`` is the ``next_id`` of an earlier page."""
        ...

    async def now_ms(self) -> int:
        """The Redis server's time in ms, for use as a cut-off."""
        ...

    async def dead_page(
        self, dead_filter: DeadLetterFilter, cursor: Cursor | None, limit: int, cut_off_ms: int | None = None
    ) -> ListPage:
        """A page of dead letters, newest first, that died up to the cut-off (server ms, default now)."""
        ...

    async def dead_count(
        self,
        dead_filter: DeadLetterFilter,
        cut_off_ms: int | None = None,
        on_examined: ExaminedCallback | None = None,
    ) -> int:
        """The number of dead letters that match; ``cut_off_ms`` as for ``dead_page``.

        ``on_examined`` is called with the number examined so far when the count needs several calls.
        """
        ...

    async def queues(self) -> QueueNames:
        """The queues of the same Redis database, as far as they are found in a limited time."""
        ...

    async def breakdown(self, dimension: Dimension) -> Breakdown:
        """The jobs that ended in the last hour by project, output format or priority."""
        ...

    async def project_loads(self) -> tuple[ProjectLoad, ...]:
        """What projects wait for and run, and their limits, those with most waiting jobs first."""
        ...

    async def worker_log(self, worker_id: str) -> str:
        """The last lines of a worker's log, which its supervisor sends.

        Raises:
            CommandRejected: no supervisor has the worker, or it cannot read the log.
        """
        ...

    async def webhooks(self, *, failed: bool, limit: int) -> WebhookList:
        """The oldest webhooks that failed, or that are to be sent."""
        ...

    def artifact(self, record: JobRecord, path: str) -> ArtifactFile:
        """A file of a bundle; ``path`` is relative to the bundle. Reads the store: call it in a thread.

        Raises:
            BundleNotFound: the file is not in this store, or is not a file inside the bundle.
        """
        ...


@dataclass(frozen=True, slots=True)
class QueueChoice:
    """A queue to choose: its context ("" for the server of the command line), its name, and what is shown of it."""

    context: str
    queue: str
    address: str = ""
    environment: str = ""


@dataclass(frozen=True, slots=True)
class OpenQueue:
    """A queue that the screen shows: its data and commands, and what the title says about it.

    ``address`` is that of its server without secrets. ``close`` ends its connections.
    """

    source: DataSource
    executor: CommandExecutor
    health_source: HealthSource | None
    close: Callable[[], Awaitable[None]]
    context: str
    queue_name: str
    address: str
    environment: str
    read_only: bool
    heartbeat_ms: int


class QueueOpener(Protocol):
    """Opens the queues that the operator may switch to."""

    @property
    def contexts(self) -> tuple[QueueChoice, ...]:
        """The server of the command line, and the contexts of the settings file."""
        ...

    def open(self, choice: QueueChoice) -> OpenQueue:
        """Opens a queue without connecting. Raises ``PreviewopsError`` if its settings are invalid."""
        ...


class HealthSource(Protocol):
    """Source of health results. A call may raise ``PreviewopsError``."""

    async def health(self, snapshot: Snapshot, history: History) -> Health:
        """The result of ``previewops health`` for a snapshot and its recent history."""
        ...
