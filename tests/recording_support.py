"""A simulated queue, and recordings of it."""

from __future__ import annotations

import random
import sys
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from previewops.recording.format import Frame, Gap, Header
from previewops.recording.writer import RecordingWriter
from previewops.snapshot.history import DAY_MIN, HOUR_S
from previewops.snapshot.model import MINUTE_MS, TEN_SECONDS_MS, CounterBucket, QueueEvent
from previewops.states import Priority
from tests.tui import scenes

if sys.version_info >= (3, 14):
    from compression.zstd import compress, decompress
else:
    from backports.zstd import compress, decompress

__all__ = [
    "HEADER",
    "SimulatedQueue",
    "compress",
    "decompress",
    "each_second",
    "record_seconds",
    "write_recording",
]

HEADER = Header("preview-jobs", 1.0)
MIB = 1 << 20


class SimulatedQueue:
    """A queue that completes jobs as time passes. Frames hold the full history or the latest, as a recorder's do."""

    def __init__(self, now_ms: int = scenes.NOW_MS, *, pace: float = 2.0, seed: int = 7) -> None:
        self.now_ms = now_ms
        self._rng = random.Random(seed)
        self._pace = pace
        self._ends: dict[int, dict[str, int]] = {}
        self._bins: dict[int, dict[int, int]] = {}
        self._events: list[QueueEvent] = []
        self._reported = 0
        self.completed = 0

    def advance(self, ms: int = 1_000) -> None:
        """Advances the time; jobs end in it."""
        self.now_ms += ms
        number = self.now_ms // TEN_SECONDS_MS
        ended = sum(self._rng.random() < self._pace / 8 for _ in range(8 * ms // 1_000))
        self.completed += ended
        if ended:
            counts = self._ends.setdefault(number, {})
            counts["completed"] = counts.get("completed", 0) + ended
            bins = self._bins.setdefault(number, {})
            for _ in range(ended):
                place = self._rng.randrange(20, 30)
                bins[place] = bins.get(place, 0) + 1
        if self._rng.random() < 0.05:
            self.add_event("retry", job=f"job-{self.now_ms}")

    def add_event(self, kind: str, **fields: str) -> None:
        """Adds an event at the current time."""
        self._events.append(QueueEvent(f"{self.now_ms}-{len(self._events)}", self.now_ms, kind, fields))

    def take_frame(self, *, full_history: bool = False, window_s: int = 90) -> Frame:
        """Returns a frame of now. Its events are those since the previous frame, or all with the full history."""
        history_s, history_min = (HOUR_S, DAY_MIN) if full_history else (window_s, 0)
        current, minute = self.now_ms // TEN_SECONDS_MS, self.now_ms // MINUTE_MS
        events = self._events if full_history else self._events[self._reported :]
        self._reported = len(self._events)
        return Frame(
            replace(
                scenes.BUSY,
                now_ms=self.now_ms,
                waiting={Priority.HIGH: 1, Priority.NORMAL: self.completed % 17, Priority.LOW: 3},
                counters={**scenes.COUNTERS, "completed": self.completed},
                workers=tuple(
                    replace(worker, heartbeat_ms=self.now_ms - 300 - worker.pid % 7, completed=self.completed)
                    for worker in scenes.WORKERS
                ),
                buckets=self._buckets(range(current - history_s // 10 + 1, current + 1)),
                minutes=self._minutes(range(minute - history_min, minute)),
                events=tuple(events[-500:]),
                history_s=history_s,
                history_min=history_min,
            ),
            scenes.HEALTH,
        )

    def _buckets(self, numbers: Iterable[int]) -> tuple[CounterBucket, ...]:
        return tuple(
            CounterBucket(number * TEN_SECONDS_MS, dict(self._ends[number]), {}, dict(self._bins[number]))
            for number in numbers
            if number in self._ends
        )

    def _minutes(self, numbers: Iterable[int]) -> tuple[CounterBucket, ...]:
        minutes = []
        for number in numbers:
            tens = self._buckets(range(number * 6, number * 6 + 6))
            if tens:
                bins: dict[int, int] = {}
                for ten in tens:
                    for place, count in ten.run.items():
                        bins[place] = bins.get(place, 0) + count
                done = sum(ten.counts["completed"] for ten in tens)
                minutes.append(CounterBucket(number * MINUTE_MS, {"completed": done}, {}, bins, MINUTE_MS))
        return tuple(minutes)

    @property
    def events(self) -> tuple[QueueEvent, ...]:
        """All events."""
        return tuple(self._events)


def write_recording(
    path: Path, entries: Iterable[Frame | Gap], *, max_bytes: int = 64 * MIB, keep: int = 3
) -> None:
    """Writes a recording of entries."""
    writer = RecordingWriter(path, HEADER, max_bytes=max_bytes, keep=keep)
    for entry in entries:
        if isinstance(entry, Gap):
            writer.write_gap(entry)
        else:
            writer.write_frame(entry)
    writer.close()


def each_second(queue: SimulatedQueue, count: int) -> Iterator[Frame]:
    """Yields a frame with the full history, then one for each second."""
    yield queue.take_frame(full_history=True)
    for _ in range(count):
        queue.advance()
        yield queue.take_frame()


def record_seconds(path: Path, count: int, **options: float) -> SimulatedQueue:
    """Records a number of seconds. Returns the queue at their end."""
    queue = SimulatedQueue(**options)  # type: ignore[arg-type]
    write_recording(path, each_second(queue, count))
    return queue
