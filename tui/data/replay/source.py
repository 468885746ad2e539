"""Data source and executor of a recording: returns its snapshots and rejects everything else."""

from __future__ import annotations

from typing import Any, NoReturn

from previewops.errors import PreviewopsError
from previewops.queue.records import JobRecord
from previewops.recording.reader import FrameAt, Recording
from previewops.snapshot.model import Snapshot
from previewops.tui.commands.commands import CommandOutcome, CommandProgress, OperatorCommand
from previewops.tui.data.replay.playhead import Playhead
from previewops.tui.protocols import NotRecorded, SnapshotQuery

_HINT = "a recording contains counts, workers, events and health"


class NothingRecorded(PreviewopsError):
    """No snapshot is recorded up to this position."""

    code = "nothing-seen"


class ReplaySource:
    """``DataSource`` over a recording: returns the snapshot at the playhead.

    ``moment`` is the frame read last. Nothing is available before ``set_recording``.
    """

    def __init__(self) -> None:
        self.moment = FrameAt(None, None)
        self._recording: Recording | None = None
        self._playhead: Playhead | None = None
        self._at_ms: int | None = None

    def set_recording(self, recording: Recording, playhead: Playhead) -> None:
        self._recording, self._playhead = recording, playhead

    async def collect(self, _query: SnapshotQuery) -> Snapshot:
        """The snapshot at the playhead, always with the hour, the day and the latest events before it.

        Raises:
            NothingRecorded: no snapshot is recorded up to that position.
            RecordingBroken: the file was changed while it was read.
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

    async def _reject(self, *_args: Any, **_options: Any) -> NoReturn:
        raise NotRecorded("a recording contains no jobs", hint=_HINT)

    jobs = count_jobs = job = actions = dead_groups = now_ms = dead_page = dead_count = webhooks = _reject
    queues = breakdown = project_loads = worker_log = _reject

    def artifact(self, _record: JobRecord, _path: str) -> NoReturn:
        raise NotRecorded("a recording contains no jobs", hint=_HINT)


class ReplayExecutor:
    """An executor that rejects every command."""

    async def execute(self, _intent: OperatorCommand, _progress: CommandProgress) -> CommandOutcome:
        raise NotRecorded(
            "this is a recording: not executed", hint="open the screen without --replay to run commands"
        )
