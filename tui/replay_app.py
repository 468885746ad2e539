"""The operator's screen over a recording: opens it in the background, then shows the playhead's position."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

from textual import work
from textual.binding import BindingType

from previewops.clock import Clock, SystemClock
from previewops.errors import PreviewopsError
from previewops.formatting import pluralize
from previewops.recording.reader import FrameAt, Recording
from previewops.tui.app import OperatorApp
from previewops.tui.data.poller import SnapshotArrived, SnapshotMissed
from previewops.tui.data.replay.playhead import Playhead, Timeline
from previewops.tui.data.replay.source import ReplayExecutor, ReplaySource
from previewops.tui.key_bindings import bindings
from previewops.tui.keymap import REPLAY, KeyAction, action_name
from previewops.tui.options import Options
from previewops.tui.state.queue_view import ConnectionLoss, ReplayPosition
from previewops.tui.terminal_app import DIALOG_GROUP
from previewops.tui.viewmodel.replay_times import format_change

DEFAULT_INTERVAL_S = 0.5
"""Poll interval in seconds, unless + or - change it."""

PROGRESS_INTERVAL_S = 0.1

GRACE_S = 2.0
"""Seconds of real time after an alarm in which the key for the one before skips it."""


class OpenAborted(Exception):
    """The screen was closed while the recording was being opened."""


class ReplayApp(OperatorApp):
    """The same screens over a recording. ``failure`` is set when the recording could not be opened."""

    CSS_PATH = "app.tcss"
    BINDINGS: ClassVar[list[BindingType]] = bindings(REPLAY)
    LEADING_ACTIONS: ClassVar[tuple[KeyAction, ...]] = REPLAY

    def __init__(self, path: Path, options: Options, *, clock: Clock | None = None) -> None:
        clock = clock or SystemClock()
        self._path = path
        self._time = clock
        self._recording: Recording | None = None
        self._playhead: Playhead | None = None
        self._opened = 0.0
        self._opening_ended = False
        self._shown_frame: FrameAt | None = None
        self._source = ReplaySource()
        super().__init__(self._source, ReplayExecutor(), options, clock=clock)
        self.display_state.set_replay_position(ReplayPosition())

    def start_polling(self) -> None:
        self.run_worker(self._open(), name="open", group="poll")

    async def _open(self) -> None:
        timer = self.set_interval(PROGRESS_INTERVAL_S, self._show_progress)
        try:
            recording = await asyncio.to_thread(Recording.open, self._path, self._on_progress)
        except PreviewopsError as error:
            self.failure = error
            self.exit(1)
            return
        finally:
            self._opening_ended = True
            timer.stop()
        self._recording = recording
        self._playhead = Playhead(Timeline(recording.intervals), self._time)
        self._source.set_recording(recording, self._playhead)
        if recording.fault_count:
            parts = pluralize(recording.fault_count, "part")
            message = f"{parts} cannot be read: {recording.faults[0].message}"
            self.notify(message, title="recording damaged", severity="warning", timeout=10)
        await self.poller.run()

    def _on_progress(self, done: int, total: int) -> None:
        """Progress callback, called by the thread that opens the recording; raises once the screen is closed."""
        if self._opening_ended:
            raise OpenAborted
        self._opened = done / max(1, total)

    def _show_progress(self) -> None:
        self.display_state.set_replay_position(ReplayPosition(opened=min(0.99, self._opened)))
        self.redraw()

    def is_forbidden(self, action: str) -> bool:
        front = self.front_screen
        unavailable = front.KEY_ACTIONS if front is not None and front.unavailable_in_replay else ()
        return action in map(action_name, unavailable) or super().is_forbidden(action)

    def on_unmount(self) -> None:
        if self._recording is not None:
            self._recording.close()

    # -- snapshots --------------------------------------------------------------------------------------

    def show_snapshot(self, message: SnapshotArrived) -> None:
        moment, playhead = self._source.moment, self._playhead
        if moment.frame is None or playhead is None:
            return
        if moment is not self._shown_frame or moment.gap is not None:  # the age of a gap grows
            self._shown_frame = moment
            loss = ConnectionLoss(moment.gap.reason, 0) if moment.gap is not None else None
            age_s = max(0, playhead.server_time_ms - moment.frame.at_ms) // 1_000
            self.display_state.show_recorded(moment.frame.snapshot, moment.frame.health, loss, age_s)
        self._show_position()
        self.redraw()

    def show_missed(self, message: SnapshotMissed) -> None:
        self._shown_frame = None
        self.display_state.clear()  # the view belongs to another position
        self._show_position()
        super().show_missed(message)

    def _show_position(self) -> None:
        head = self._playhead
        if head is not None:
            position = ReplayPosition(
                1.0, head.position_ms, head.timeline.duration_ms, head.speed, head.paused
            )
            self.display_state.set_replay_position(position)

    # -- playback ---------------------------------------------------------------------------------------

    def _play(self, change: Callable[[Playhead], None]) -> None:
        if self._playhead is not None:
            change(self._playhead)
            self.poller.poll_now()

    def action_hold(self) -> None:
        self._play(Playhead.toggle_pause)

    def action_seek(self, seconds: int) -> None:
        self._play(lambda playhead: playhead.seek_by(seconds * 1_000))

    @work(group=DIALOG_GROUP)
    async def action_go_to_time(self) -> None:
        recording, playhead = self._recording, self._playhead
        if recording is None or playhead is None:
            return
        from previewops.tui.screens.dialogs.replay_time import ask_for_time

        at_ms = await ask_for_time(self, recording.intervals, lambda: playhead.server_time_ms)
        if at_ms is not None:
            self._play(lambda playhead: playhead.seek(playhead.timeline.position_ms(at_ms)))

    def action_go_to_alarm(self, step: int) -> None:
        recording, playhead = self._recording, self._playhead
        if recording is None or playhead is None:
            return
        now_ms, alarms = playhead.server_time_ms, recording.alarms
        # While it plays, the alarm just reached is behind it: again, the key goes to the one before.
        grace_ms = 0 if playhead.paused else GRACE_S * 1_000 * playhead.speed
        change = alarms.next_after(now_ms) if step > 0 else alarms.last_before(round(now_ms - grace_ms))
        self.clear_notifications()  # that of the alarm before
        if change is None:
            which = "later" if step > 0 else "earlier"
            more = "" if alarms.complete else f" among the first {len(alarms.changes):,}"
            self.notify(f"The recording has no {which} change of health{more}.", title="no alarm")
            return
        position_ms = playhead.timeline.position_ms(change.at_ms)
        self._play(lambda playhead: playhead.seek(position_ms))
        title, text = format_change(
            change, alarms.number_of(change), len(alarms.changes), local=self.view.local_time
        )
        self.notify(text, title=title, severity="warning" if change.began else "information")

    def action_speed(self, step: int) -> None:
        self._play(lambda playhead: playhead.change_speed(step))

    def action_to_start(self) -> None:
        self._play(lambda playhead: playhead.seek(0))

    def action_to_end(self) -> None:
        self._play(lambda playhead: playhead.seek(playhead.timeline.duration_ms))
