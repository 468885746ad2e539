"""Reading and acting where there is only a recording: its moments, and refusals."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from previewops.errors import PreviewopsError
from previewops.recording.reader import FrameAt, Recording
from previewops.tui.commands.commands import CommandOutcome, CommandProgress, OperatorCommand
from previewops.tui.data.replay.playhead import Playhead
from previewops.tui.protocols import ExaminedCallback, JobQuery, NotRecorded, SnapshotQuery

if TYPE_CHECKING:
    from previewops.queue.dead_letter_filter import DeadLetterFilter, DeadLetterGroup
    from previewops.queue.pages import Cursor, ListPage
    from previewops.queue.records import JobRecord
    from previewops.snapshot.model import Snapshot

_HINT = "it has what the queue's screens show: figures, workers, events and health"


class NothingRecorded(PreviewopsError):
    """There is no look at the queue up to this moment."""

    code = "nothing-seen"


class ReplaySource:
    """``ports.Source`` over a recording: what it tells of the moment at which the playhead is.

    ``moment`` is what was collected last. Nothing is known before ``begin``.
    """

    def __init__(self) -> None:
        self.moment = FrameAt(None, None)
        self._recording: Recording | None = None
        self._playhead: Playhead | None = None
        self._at_ms: int | None = None

    def set_recording(self, recording: Recording, playhead: Playhead) -> None:
        """Reads from there from now on."""
        self._recording, self._playhead = recording, playhead

    async def collect(self, _want: SnapshotQuery) -> Snapshot:
        """The queue at that moment, always with the whole hour, day and latest events before it.

        Raises:
            NothingSeen: there was no look at the queue up to then.
            RecordingBroken: the file is not any more what it was.
        """
        if self._recording is None or self._playhead is None:
            raise NothingRecorded("the recording is being opened")
        at_ms = self._playhead.server_time_ms
        if at_ms != self._at_ms:
            self.moment = self._recording.frame_at(at_ms)
            self._at_ms = at_ms
        if self.moment.frame is None:
            raise NothingRecorded(
                self.moment.gap.reason if self.moment.gap is not None else "nothing is recorded"
            )
        return self.moment.frame.snapshot

    async def jobs(self, _query: JobQuery) -> ListPage:
        """Refuses."""
        _no_jobs()

    async def job(self, _job_id: str) -> JobRecord:
        """Refuses."""
        _no_jobs()

    async def dead_groups(self, _limit: int) -> tuple[DeadLetterGroup, ...]:
        """Refuses."""
        _no_jobs()

    async def now_ms(self) -> int:
        """Refuses."""
        _no_jobs()

    async def dead_page(
        self, _chosen: DeadLetterFilter, _cursor: Cursor | None, _limit: int, _cut_off_ms: int | None = None
    ) -> ListPage:
        """Refuses."""
        _no_jobs()

    async def dead_count(
        self,
        _chosen: DeadLetterFilter,
        _cut_off_ms: int | None = None,
        _looked: ExaminedCallback | None = None,
    ) -> int:
        """Refuses."""
        _no_jobs()

    def artifact(self, _record: JobRecord, _path: str) -> Path:
        """Refuses."""
        _no_jobs()


def _no_jobs() -> NoReturn:
    raise NotRecorded("a recording holds no jobs", hint=_HINT)


class ReplayExecutor:
    """A desk at which nothing can be done."""

    async def execute(self, _intent: OperatorCommand, _progress: CommandProgress) -> CommandOutcome:
        """Refuses with ``NotRecorded``."""
        raise NotRecorded(
            "this is a recording: nothing was changed", hint="open the screen without --replay to act"
        )
