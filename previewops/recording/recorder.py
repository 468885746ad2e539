"""Looks at a queue again and again and writes down what it saw, whatever becomes of the server meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from previewops.clock import Clock
from previewops.errors import PreviewopsError
from previewops.formatting import format_duration
from previewops.health import Health
from previewops.recording.format import Frame, Gap
from previewops.recording.writer import CHAPTER_MS, RecordingWriter
from previewops.snapshot.history import DAY_MIN, HOUR_S, History
from previewops.snapshot.model import Snapshot

MAX_EVENTS = 500
HEALTH_INTERVAL_S = 10.0
"""The verdicts ask the server for more than a look does."""

LATE_S = 15.0
"""A look that comes later than this brings the whole past: what the ones before told may not join up."""


@dataclass(frozen=True, slots=True)
class SnapshotRequest:
    """What a look has to bring: history in s and min, and the newest so many events after one."""

    history_s: int
    history_min: int
    events: int
    after: str


TakeSnapshot = Callable[[SnapshotRequest], Awaitable[Snapshot]]
"""Looks at the queue, the running jobs included; raises ``PreviewopsError`` when that cannot be done."""

EvaluateHealth = Callable[[Snapshot, History], Awaitable[Health]]
"""Comes to the verdicts on a look, with the hour before it; raises as ``Take`` does."""


class Recorder:
    """Writes a look every ``every_s`` seconds, one after the other. ``tell`` hears when the server goes and comes."""

    def __init__(
        self,
        take_snapshot: TakeSnapshot,
        evaluate_health: EvaluateHealth,
        writer: RecordingWriter,
        clock: Clock,
        *,
        interval_s: float,
        print_note: Callable[[str], None],
    ) -> None:
        self._take = take_snapshot
        self._judge = evaluate_health
        self._writer = writer
        self._clock = clock
        self._every_s = interval_s
        self._tell = print_note
        self._window_s = min(HOUR_S, CHAPTER_MS // 1000 + int(2 * interval_s + LATE_S) + 10)
        self._after = ""
        self._history = History()
        self._health: Health | None = None
        self._judged_s: float | None = None
        self._seen: tuple[float, int] | None = (
            None  # when the last look was, on our clock and on the server's
        )
        self._lost_s: float | None = None

    async def run(self, stop: asyncio.Event, for_s: float | None = None) -> None:
        """Records until ``stop`` is set or ``for_s`` seconds have passed.

        Raises:
            CannotRecord: the disk refuses.
        """
        begun = due = self._clock.monotonic()
        while not stop.is_set():
            await self._record()
            now = self._clock.monotonic()
            due = max(due + self._every_s, now)
            if for_s is not None:
                due = min(due, begun + for_s)
            try:
                await asyncio.wait_for(stop.wait(), max(0.0, due - now))
            except TimeoutError:
                if for_s is not None and self._clock.monotonic() >= begun + for_s:
                    return

    async def _record(self) -> None:
        now = self._clock.monotonic()
        try:
            snapshot = await self._take(self._wish(now))
            self._history = self._history.with_snapshot(snapshot)
            if self._judged_s is None or now - self._judged_s >= HEALTH_INTERVAL_S:
                self._health, self._judged_s = await self._judge(snapshot, self._history), now
        except PreviewopsError as error:
            if self._lost_s is None:
                self._lost_s = now
                self._tell(f"note: no look at the queue, and this goes on trying: {error.message}")
            self._writer.write_gap(Gap(self._now_ms(), error.message))
            return
        if self._lost_s is not None:
            self._tell(
                f"note: the queue is in sight again after {format_duration((now - self._lost_s) * 1000)}"
            )
            self._lost_s = None
        self._writer.write_frame(Frame(snapshot, self._health))
        self._seen = self._clock.monotonic(), snapshot.now_ms
        if snapshot.events:
            self._after = snapshot.events[-1].event_id

    def _wish(self, now: float) -> SnapshotRequest:
        late = self._seen is None or now - self._seen[0] > self._every_s + LATE_S
        whole = late or self._writer.needs_full_history
        return SnapshotRequest(
            history_s=HOUR_S if whole else self._window_s,
            history_min=DAY_MIN if whole else 0,
            events=MAX_EVENTS,
            # A file can be read without the ones before, so it begins with the latest events.
            after="" if self._writer.needs_full_history else self._after,
        )

    def _now_ms(self) -> int:
        """The server's time, reckoned from when it was last heard."""
        if self._seen is None:
            return self._clock.now_ms()
        seconds, at_ms = self._seen
        return at_ms + round((self._clock.monotonic() - seconds) * 1000)
