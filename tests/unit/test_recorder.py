"""The recorder: a frame at each interval, the full history when it is needed, gaps while Redis is unavailable."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import pytest

from previewops.errors import RedisUnavailable
from previewops.health import Health
from previewops.recording.reader import Recording
from previewops.recording.recorder import HEALTH_INTERVAL_S, LATE_S, MAX_EVENTS, Recorder, SnapshotRequest
from previewops.recording.writer import RecordingWriter
from previewops.snapshot.history import DAY_MIN, HOUR_S, History
from previewops.snapshot.model import Snapshot
from tests.recording_support import HEADER, SimulatedQueue
from tests.tui import scenes

FULL_HISTORY = SnapshotRequest(HOUR_S, DAY_MIN, MAX_EVENTS, "")


@dataclass
class FakeQueue:
    """A queue, a clock and a server that may be unavailable. Each snapshot advances the clock by ``step_s``."""

    stop: asyncio.Event
    queue: SimulatedQueue = field(default_factory=SimulatedQueue)
    step_s: float = 1.0
    seconds: float = 500.0
    unavailable: Callable[[int], bool] = lambda number: False
    frames: int = 10
    requests: list[SnapshotRequest] = field(default_factory=list)
    evaluations: list[tuple[float, int]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def now_ms(self) -> int:
        return 77

    def monotonic(self) -> float:
        return self.seconds

    async def take(self, request: SnapshotRequest) -> Snapshot:
        number = len(self.requests)
        self.requests.append(request)
        self.seconds += self.step_s
        self.queue.advance(round(self.step_s * 1_000))
        if number + 1 >= self.frames:
            self.stop.set()
        if self.unavailable(number):
            raise RedisUnavailable("redis://x", "the connection was refused")
        return self.queue.take_frame(
            full_history=request.history_s == HOUR_S, window_s=request.history_s
        ).snapshot

    async def judge(self, snapshot: Snapshot, history: History) -> Health:
        self.evaluations.append((self.seconds, len(history.tens)))
        return scenes.HEALTH


@contextmanager
def recorded(path: Path, fake: FakeQueue, **options: float) -> Iterator[Recording]:
    writer = RecordingWriter(path, HEADER, max_bytes=int(options.pop("max_bytes", 1 << 30)), keep=9)
    # The interval is nearly 0: the fake clock advances with each snapshot.
    recorder = Recorder(fake.take, fake.judge, writer, fake, interval_s=0.001, print_note=fake.notes.append)
    asyncio.run(recorder.run(fake.stop))
    writer.close()
    recording = Recording.open(path)
    yield recording
    recording.close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "q.rec"


def test_the_full_history_is_requested_once(path: Path) -> None:
    fake = FakeQueue(asyncio.Event(), frames=100)
    with recorded(path, fake) as recording:
        assert fake.requests[0] == FULL_HISTORY
        later = fake.requests[1:]
        assert {(request.history_min, request.events) for request in later} == {(0, MAX_EVENTS)}
        assert {request.history_s for request in later} == {fake.requests[1].history_s}
        assert 60 < later[0].history_s < 200
        assert later[-1].after == fake.queue.events[-1].event_id
        (interval,) = recording.intervals
        entry = recording.frame_at(interval.end_ms).frame
        assert entry is not None
        assert entry.snapshot.events == fake.queue.events
        assert History().with_snapshot(entry.snapshot) == History().with_snapshot(
            fake.queue.take_frame(full_history=True).snapshot
        )


def test_health_is_evaluated_at_its_interval_and_is_in_each_frame(path: Path) -> None:
    fake = FakeQueue(asyncio.Event(), frames=35)
    with recorded(path, fake) as recording:
        times = [seconds for seconds, _ in fake.evaluations]
        assert len(times) == 4
        assert all(later - earlier >= HEALTH_INTERVAL_S for earlier, later in pairwise(times))
        assert fake.evaluations[-1][1] >= 3, "the health rules get the hour before"
        (interval,) = recording.intervals
        for at_ms in range(interval.start_ms, interval.end_ms, 1_000):
            entry = recording.frame_at(at_ms).frame
            assert entry is not None
            assert entry.health == scenes.HEALTH


def test_an_unavailable_server_causes_gaps_and_two_notes(path: Path) -> None:
    fake = FakeQueue(asyncio.Event(), unavailable=lambda number: 5 <= number < 9, frames=12)
    with recorded(path, fake) as recording:
        unavailable, available = fake.notes
        assert "Redis at redis://x cannot be used" in unavailable
        assert "4.0 s" in available
        (interval,) = recording.intervals
        gaps = [recording.frame_at(at).gap for at in range(interval.start_ms, interval.end_ms + 1, 1_000)]
        assert [gap is not None for gap in gaps] == [False] * 5 + [True] * 4 + [False] * 3


def test_the_full_history_is_requested_after_a_long_gap(path: Path) -> None:
    long = int(LATE_S) + 3
    fake = FakeQueue(asyncio.Event(), unavailable=lambda number: 5 <= number < 5 + long, frames=30)
    with recorded(path, fake) as recording:
        back = fake.requests[5 + long]
        assert (back.history_s, back.history_min) == (HOUR_S, DAY_MIN)
        assert fake.requests[-1].history_s < HOUR_S
        entry = recording.frame_at(fake.queue.now_ms).frame
        assert entry is not None
        assert History().with_snapshot(entry.snapshot) == History().with_snapshot(
            fake.queue.take_frame(full_history=True).snapshot
        )


def test_without_a_server_gaps_have_the_local_time(path: Path) -> None:
    fake = FakeQueue(asyncio.Event(), unavailable=lambda _number: True, frames=3)
    with recorded(path, fake) as recording:
        assert recording.frame_at(0).gap is not None
        assert recording.intervals[0].start_ms == 77


def test_a_new_file_begins_with_the_full_history(path: Path) -> None:
    fake = FakeQueue(asyncio.Event(), frames=200)
    with recorded(path, fake, max_bytes=3_000) as recording:
        full_requests = [number for number, request in enumerate(fake.requests) if request == FULL_HISTORY]
        assert len(full_requests) > 2
        entry = recording.frame_at(fake.queue.now_ms).frame
        assert entry is not None
        assert History().with_snapshot(entry.snapshot) == History().with_snapshot(
            fake.queue.take_frame(full_history=True).snapshot
        )
        assert entry.snapshot.events == fake.queue.events


async def test_it_ends_after_its_duration(path: Path) -> None:
    stop = asyncio.Event()
    fake = FakeQueue(stop, frames=10_000, step_s=0.25)
    writer = RecordingWriter(path, HEADER, max_bytes=1 << 30, keep=0)
    recorder = Recorder(fake.take, fake.judge, writer, fake, interval_s=0.001, print_note=fake.notes.append)
    await recorder.run(stop, 5.0)
    assert not stop.is_set()
    assert writer.close().frames == 20
