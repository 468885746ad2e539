"""The recorder: one look after the other, the past when it is due, and gaps where the server is away."""

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

EVERYTHING = SnapshotRequest(HOUR_S, DAY_MIN, MAX_EVENTS, "")


@dataclass
class Machine:
    """A queue, a clock and a server that may be away. Each look lets ``step_s`` go by."""

    stop: asyncio.Event
    hours: SimulatedQueue = field(default_factory=SimulatedQueue)
    step_s: float = 1.0
    seconds: float = 500.0
    away: Callable[[int], bool] = lambda number: False
    looks: int = 10
    wishes: list[SnapshotRequest] = field(default_factory=list)
    judged: list[tuple[float, int]] = field(default_factory=list)
    told: list[str] = field(default_factory=list)

    def now_ms(self) -> int:
        return 77

    def monotonic(self) -> float:
        return self.seconds

    async def take(self, wish: SnapshotRequest) -> Snapshot:
        number = len(self.wishes)
        self.wishes.append(wish)
        self.seconds += self.step_s
        self.hours.advance(round(self.step_s * 1_000))
        if number + 1 >= self.looks:
            self.stop.set()
        if self.away(number):
            raise RedisUnavailable("redis://x", "the connection was refused")
        return self.hours.take_frame(full_history=wish.history_s == HOUR_S, window_s=wish.history_s).snapshot

    async def judge(self, snapshot: Snapshot, history: History) -> Health:
        self.judged.append((self.seconds, len(history.tens)))
        return scenes.HEALTH


@contextmanager
def recorded(path: Path, machine: Machine, **options: float) -> Iterator[Recording]:
    writer = RecordingWriter(path, HEADER, max_bytes=int(options.pop("most_bytes", 1 << 30)), keep=9)
    # Pauses of no time: the machine's clock goes by its own looks.
    recorder = Recorder(
        machine.take, machine.judge, writer, machine, interval_s=0.001, print_note=machine.told.append
    )
    asyncio.run(recorder.run(machine.stop))
    writer.close()
    recording = Recording.open(path)
    yield recording
    recording.close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "q.rec"


def test_the_whole_past_once_and_then_what_is_new(path: Path) -> None:
    machine = Machine(asyncio.Event(), looks=100)
    with recorded(path, machine) as recording:
        assert machine.wishes[0] == EVERYTHING
        later = machine.wishes[1:]
        assert {(wish.history_min, wish.events) for wish in later} == {(0, MAX_EVENTS)}
        assert {wish.history_s for wish in later} == {machine.wishes[1].history_s}
        assert 60 < later[0].history_s < 200
        assert later[-1].after == machine.hours.events[-1].event_id
        (stretch,) = recording.intervals
        found = recording.frame_at(stretch.end_ms).frame
        assert found is not None
        assert found.snapshot.events == machine.hours.events
        assert History().with_snapshot(found.snapshot) == History().with_snapshot(
            machine.hours.take_frame(full_history=True).snapshot
        )


def test_the_verdicts_come_now_and_then_and_are_in_each_look(path: Path) -> None:
    machine = Machine(asyncio.Event(), looks=35)
    with recorded(path, machine) as recording:
        times = [seconds for seconds, _ in machine.judged]
        assert len(times) == 4
        assert all(later - earlier >= HEALTH_INTERVAL_S for earlier, later in pairwise(times))
        assert machine.judged[-1][1] >= 3, "the verdicts are told of the hour before"
        (stretch,) = recording.intervals
        for at_ms in range(stretch.start_ms, stretch.end_ms, 1_000):
            look = recording.frame_at(at_ms).frame
            assert look is not None
            assert look.health == scenes.HEALTH


def test_a_server_that_is_away_leaves_gaps_and_is_told_of_once(path: Path) -> None:
    machine = Machine(asyncio.Event(), away=lambda number: 5 <= number < 9, looks=12)
    with recorded(path, machine) as recording:
        assert machine.told == [
            "note: no look at the queue, and this goes on trying: Redis at redis://x cannot be used: "
            "the connection was refused",
            "note: the queue is in sight again after 4.0 s",
        ]
        (stretch,) = recording.intervals
        gaps = [recording.frame_at(at).gap for at in range(stretch.start_ms, stretch.end_ms + 1, 1_000)]
        assert [gap is not None for gap in gaps] == [False] * 5 + [True] * 4 + [False] * 3


def test_after_a_long_gap_the_past_is_asked_for_again(path: Path) -> None:
    long = int(LATE_S) + 3
    machine = Machine(asyncio.Event(), away=lambda number: 5 <= number < 5 + long, looks=30)
    with recorded(path, machine) as recording:
        back = machine.wishes[5 + long]
        assert (back.history_s, back.history_min) == (HOUR_S, DAY_MIN)
        assert machine.wishes[-1].history_s < HOUR_S
        found = recording.frame_at(machine.hours.now_ms).frame
        assert found is not None
        assert History().with_snapshot(found.snapshot) == History().with_snapshot(
            machine.hours.take_frame(full_history=True).snapshot
        )


def test_a_server_that_never_comes_leaves_gaps_by_our_own_clock(path: Path) -> None:
    machine = Machine(asyncio.Event(), away=lambda _number: True, looks=3)
    with recorded(path, machine) as recording:
        assert recording.frame_at(0).gap is not None
        assert recording.intervals[0].start_ms == 77


def test_a_new_file_begins_with_the_whole_past(path: Path) -> None:
    machine = Machine(asyncio.Event(), looks=200)
    with recorded(path, machine, most_bytes=3_000) as recording:
        whole = [number for number, wish in enumerate(machine.wishes) if wish == EVERYTHING]
        assert len(whole) > 2
        found = recording.frame_at(machine.hours.now_ms).frame
        assert found is not None
        assert History().with_snapshot(found.snapshot) == History().with_snapshot(
            machine.hours.take_frame(full_history=True).snapshot
        )
        assert found.snapshot.events == machine.hours.events


async def test_it_ends_by_itself(path: Path) -> None:
    stop = asyncio.Event()
    machine = Machine(stop, looks=10_000, step_s=0.25)
    writer = RecordingWriter(path, HEADER, max_bytes=1 << 30, keep=0)
    recorder = Recorder(
        machine.take, machine.judge, writer, machine, interval_s=0.001, print_note=machine.told.append
    )
    await recorder.run(stop, 5.0)
    assert not stop.is_set()
    assert writer.close().frames == 20
