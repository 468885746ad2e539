"""What the screen needs from below, as protocols: reading in ``Source``, acting in ``intents.Desk``.

The screen gets both handed in. ``live`` has them over a queue, ``replay`` over a recording, where the verdicts are on
record; over a queue there is a ``Judge`` too.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeAlias

from previewops.errors import PreviewopsError
from previewops.queue.filter_query import FilterQuery

if TYPE_CHECKING:
    from collections.abc import Callable

    from previewops.health import Health
    from previewops.queue.dead_letter_filter import DeadLetterFilter, DeadLetterGroup
    from previewops.queue.pages import Cursor, ListPage
    from previewops.queue.records import JobRecord
    from previewops.snapshot.history import History
    from previewops.snapshot.model import Snapshot
    from previewops.states import JobState


ExaminedCallback: TypeAlias = "Callable[[int], None]"
"""Is told how many letters a count has looked at so far."""


class NotRecorded(PreviewopsError):
    """A recording holds snapshots only: jobs cannot be listed or opened in it."""

    code = "not-recorded"


@dataclass(frozen=True, slots=True)
class SnapshotQuery:
    """What a snapshot has to bring beside figures and active jobs: history in s and min, events after one."""

    history_s: int = 0
    history_min: int = 0
    events: int = 0
    events_after: str = ""


@dataclass(frozen=True, slots=True)
class JobQuery:
    """Which jobs are listed, and from where on."""

    state: JobState | None = None
    terms: FilterQuery = field(default_factory=FilterQuery)
    newest_first: bool = True
    cursor: Cursor | None = None
    limit: int = 200


class DataSource(Protocol):
    """Where pictures come from. Every call may raise ``PreviewopsError``; what it says is shown."""

    async def collect(self, query: SnapshotQuery) -> Snapshot:
        """The queue at one moment."""
        ...

    async def jobs(self, query: JobQuery) -> ListPage:
        """A page of jobs."""
        ...

    async def job(self, job_id: str) -> JobRecord:
        """One job whole: payload, result, attempts."""
        ...

    async def dead_groups(self, limit: int) -> tuple[DeadLetterGroup, ...]:
        """The largest groups of dead letters, largest first."""
        ...

    async def now_ms(self) -> int:
        """The server's time, as the cut-off of counts and of the act that goes by them."""
        ...

    async def dead_page(
        self, chosen: DeadLetterFilter, cursor: Cursor | None, limit: int, cut_off_ms: int | None = None
    ) -> ListPage:
        """A page of dead letters, newest first, of those that had died by the cut-off (now by default)."""
        ...

    async def dead_count(
        self,
        chosen: DeadLetterFilter,
        cut_off_ms: int | None = None,
        on_examined: ExaminedCallback | None = None,
    ) -> int:
        """How many dead letters a filter means, beyond what is visible; ``cut_off_ms`` as for ``dead_page``.

        ``looked`` is told how many have been looked at, where that takes more than one call.
        """
        ...

    def artifact(self, record: JobRecord, path: str) -> Path:
        """Where a file of the job's bundle is on this machine; ``path`` is relative to the bundle.

        Looks at the disk: to be called in a thread.

        Raises:
            BundleElsewhere: it is not on this machine, or is no file inside the bundle.
        """
        ...


class HealthSource(Protocol):
    """Who comes to verdicts on a queue. A call may raise ``PreviewopsError``."""

    async def health(self, snapshot: Snapshot, history: History) -> Health:
        """The verdicts of ``previewops health`` on a snapshot, given what happened in the last minutes."""
        ...
