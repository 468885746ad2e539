"""Hours of a queue as plain values, and recordings of them."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from previewops.health import Health
from previewops.recording.format import Frame, Gap, Header
from previewops.recording.writer import RecordingWriter
from previewops.snapshot.history import DAY_MIN, HOUR_S
from previewops.snapshot.model import MINUTE_MS, TEN_SECONDS_MS, CounterBucket, QueueEvent, Snapshot
from previewops.states import Priority
from tests.tui import scenes

HEADER = Header("preview-jobs", 1.0)
MIB = 1 << 20


class SimulatedQueue:
    """A queue that completes jobs as time passes, looked at as a recorder does: the whole past, then what is new."""

    def __init__(self, now_ms: int = scenes.NOW_MS, *, pace: float = 2.0, seed: int = 7) -> None:
        self.now_ms = now_ms
        self._dice = random.Random(seed)
        self._pace = pace
        self._ends: dict[int, dict[str, int]] = {}
        self._bins: dict[int, dict[int, int]] = {}
        self._events: list[QueueEvent] = []
        self._told = 0
        self.completed = 0

    def advance(self, ms: int = 1_000) -> None:
        """Time goes by, and jobs end in it."""
        self.now_ms += ms
        number = self.now_ms // TEN_SECONDS_MS
        ended = sum(self._dice.random() < self._pace / 8 for _ in range(8 * ms // 1_000))
        self.completed += ended
        if ended:
            counts = self._ends.setdefault(number, {})
            counts["completed"] = counts.get("completed", 0) + ended
            bins = self._bins.setdefault(number, {})
            for _ in range(ended):
                place = self._dice.randrange(20, 30)
                bins[place] = bins.get(place, 0) + 1
        if self._dice.random() < 0.05:
            self.add_event("retry", job=f"job-{self.now_ms}")

    def add_event(self, kind: str, **fields: str) -> None:
        """An event, now."""
        self._events.append(QueueEvent(f"{self.now_ms}-{len(self._events)}", self.now_ms, kind, fields))

    def take_frame(self, *, full_history: bool = False, window_s: int = 90) -> Frame:
        """What a snapshot says now; of events those that no look has told yet, or all for a whole one."""
        history_s, history_min = (HOUR_S, DAY_MIN) if full_history else (window_s, 0)
        current, minute = self.now_ms // TEN_SECONDS_MS, self.now_ms // MINUTE_MS
        events = self._events if full_history else self._events[self._told :]
        self._told = len(self._events)
        return Frame(
            replace(
                scenes.BUSY,
                now_ms=self.now_ms,
                waiting={Priority.HIGH: 1, Priority.NORMAL: self.completed % 17, Priority.LOW: 3},
                counters={**scenes.COUNTERS, "completed": self.completed},
                workers=tuple(
                    replace(each, heartbeat_ms=self.now_ms - 300 - each.pid % 7, completed=self.completed)
                    for each in scenes.WORKERS
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
        found = []
        for number in numbers:
            tens = self._buckets(range(number * 6, number * 6 + 6))
            if tens:
                bins: dict[int, int] = {}
                for ten in tens:
                    for place, count in ten.run.items():
                        bins[place] = bins.get(place, 0) + count
                done = sum(ten.counts["completed"] for ten in tens)
                found.append(CounterBucket(number * MINUTE_MS, {"completed": done}, {}, bins, MINUTE_MS))
        return tuple(found)

    @property
    def events(self) -> tuple[QueueEvent, ...]:
        """All there were."""
        return tuple(self._events)


def write_recording(
    path: Path, looks: Iterable[Frame | Gap], *, max_bytes: int = 64 * MIB, keep: int = 3
) -> None:
    """Records what comes."""
    writer = RecordingWriter(path, HEADER, max_bytes=max_bytes, keep=keep)
    for entry in looks:
        if isinstance(entry, Gap):
            writer.write_gap(entry)
        else:
            writer.write_frame(entry)
    writer.close()


def frames_per_second(hours: SimulatedQueue, count: int) -> Iterator[Frame]:
    """One look a second, the first of them whole."""
    yield hours.take_frame(full_history=True)
    for _ in range(count):
        hours.advance()
        yield hours.take_frame()


def record_seconds(path: Path, count: int, **options: float) -> SimulatedQueue:
    """A recording of so many seconds, and the queue as it was at their end."""
    hours = SimulatedQueue(**options)  # type: ignore[arg-type]
    write_recording(path, frames_per_second(hours, count))
    return hours


def make_frame(snapshot: Snapshot, health: Health | None = None) -> Frame:
    """A look by hand."""
    return Frame(snapshot, health)
