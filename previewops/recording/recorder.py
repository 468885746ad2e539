"""Records snapshots of a queue at a fixed interval, and gaps while Redis is unavailable."""

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
"""Health costs the server more than a snapshot."""

LATE_S = 15.0
"""A frame that is later than this holds the whole history: its buckets may not join those of the frame before."""


@dataclass(frozen=True, slots=True)
class SnapshotRequest:
    """Required contents of a snapshot: history in s and min, and the newest ``events`` after the id ``after``."""

    history_s: int
    history_min: int
    events: int
    after: str


TakeSnapshot = Callable[[SnapshotRequest], Awaitable[Snapshot]]
"""Takes a snapshot, the running jobs included; raises ``PreviewopsError`` when Redis is unavailable."""

EvaluateHealth = Callable[[Snapshot, History], Awaitable[Health]]
"""Evaluates the health of a snapshot with the hour before it; raises as ``TakeSnapshot`` does."""


class Recorder:
    """Writes a frame every ``interval_s``. ``print_note`` is called when Redis becomes unavailable and available."""

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
        self._take_snapshot = take_snapshot
        self._evaluate_health = evaluate_health
        self._writer = writer
        self._clock = clock
        self._interval_s = interval_s
        self._print_note = print_note
        self._window_s = min(HOUR_S, CHAPTER_MS // 1000 + int(2 * interval_s + LATE_S) + 10)
        self._after = ""
        self._history = History()
        self._health: Health | None = None
        self._evaluated_s: float | None = None
        # Time of the last frame, on the local clock (s) and on the server's (ms).
        self._last_frame: tuple[float, int] | None = None
        self._unavailable_since_s: float | None = None

    async def run(self, stop: asyncio.Event, for_s: float | None = None) -> None:
        """Records until ``stop`` is set or ``for_s`` seconds have passed.

        Raises:
            CannotRecord: the disk rejects a write.
        """
        begun = due = self._clock.monotonic()
        while not stop.is_set():
            await self._record()
            now = self._clock.monotonic()
            due = max(due + self._interval_s, now)
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
            snapshot = await self._take_snapshot(self._next_request(now))
            self._history = self._history.with_snapshot(snapshot)
            if self._evaluated_s is None or now - self._evaluated_s >= HEALTH_INTERVAL_S:
                self._health, self._evaluated_s = await self._evaluate_health(snapshot, self._history), now
        except PreviewopsError as error:
            if self._unavailable_since_s is None:
                self._unavailable_since_s = now
                self._print_note(f"note: no snapshot of the queue, retrying: {error.message}")
            self._writer.write_gap(Gap(self._estimate_server_ms(), error.message))
            return
        if self._unavailable_since_s is not None:
            gap_ms = (now - self._unavailable_since_s) * 1000
            self._print_note(f"note: recording again after a gap of {format_duration(gap_ms)}")
            self._unavailable_since_s = None
        self._writer.write_frame(Frame(snapshot, self._health))
        self._last_frame = self._clock.monotonic(), snapshot.now_ms
        if snapshot.events:
            self._after = snapshot.events[-1].event_id

    def _next_request(self, now: float) -> SnapshotRequest:
        is_late = self._last_frame is None or now - self._last_frame[0] > self._interval_s + LATE_S
        full_history = is_late or self._writer.needs_full_history
        return SnapshotRequest(
            history_s=HOUR_S if full_history else self._window_s,
            history_min=DAY_MIN if full_history else 0,
            events=MAX_EVENTS,
            # A file can be read without the ones before, so it begins with the latest events.
            after="" if self._writer.needs_full_history else self._after,
        )

    def _estimate_server_ms(self) -> int:
        if self._last_frame is None:
            return self._clock.now_ms()
        seconds, at_ms = self._last_frame
        return at_ms + round((self._clock.monotonic() - seconds) * 1000)
