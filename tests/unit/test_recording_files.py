"""Recordings in files: any moment is found with the past before it, what is damaged or cut off costs no more than
itself, files take turns, and nothing else is ever overwritten."""

from __future__ import annotations

import gzip
import json
import os
import random
import resource
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from previewops.recording.errors import CannotRecord, NotARecording, RecordingBroken, RecordingTooNew
from previewops.recording.format import Frame, Gap
from previewops.recording.history_index import HistoryIndex
from previewops.recording.reader import MOST_TRIES, Interval, Recording
from previewops.recording.writer import CHAPTER_EVENTS, RecordingWriter, rotated_path
from previewops.snapshot.history import History, Period
from previewops.snapshot.model import MINUTE_MS, CounterBucket, Snapshot
from tests.recording_support import HEADER, SimulatedQueue, frames_per_second, record_seconds, write_recording
from tests.tui import scenes

COLUMNS = 60

Read = Callable[[Path], Recording]


def charts(snapshot: Snapshot) -> tuple[object, ...]:
    history = History().with_snapshot(snapshot)
    return tuple(history.columns(period, COLUMNS, snapshot.now_ms) for period in Period)


def lines_of(path: Path) -> list[bytes]:
    return gzip.decompress(path.read_bytes()).splitlines()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "night.rec"


@pytest.fixture
def read() -> Iterator[Read]:
    """Opens recordings that are closed in the end."""
    with ExitStack() as stack:

        def opened(path: Path) -> Recording:
            recording = Recording.open(path)
            stack.callback(recording.close)
            return recording

        yield opened


def test_every_moment_is_found_with_the_past_before_it(read: Read, path: Path) -> None:
    hours = SimulatedQueue(pace=3.0)
    for _ in range(1_500):
        hours.advance(60_000)  # a day before anybody records
    truth: dict[int, Frame] = {}

    def looks() -> Iterator[Frame]:
        for number in range(900):
            hours.advance(5_000)
            yield hours.take_frame(full_history=number == 0)
            if number % 97 == 0:
                truth[hours.now_ms] = hours.take_frame(full_history=True)

    write_recording(path, looks())
    recording = read(path)
    assert not recording.faults
    moments = list(truth)
    random.Random(5).shuffle(moments)
    for at_ms in (*moments, min(moments), max(moments), min(moments)):
        found = recording.frame_at(at_ms + 1_300).frame
        assert found is not None
        expected = truth[at_ms]
        assert charts(found.snapshot) == charts(expected.snapshot)
        assert found.snapshot.events == expected.snapshot.events
        assert found.snapshot.workers == expected.snapshot.workers
        assert found.health == scenes.HEALTH


def test_the_lines_can_be_read_by_other_programs(path: Path) -> None:
    record_seconds(path, 130)
    lines = [json.loads(line) for line in lines_of(path)]
    assert lines[0] == {"previewops": "recording", "version": 1, "queue": "preview-jobs", "every": 1.0}
    assert [set(line) for line in lines[1:3]] == [{"t", "f"}, {"previewops", "version", "queue", "every"}]
    assert sum("f" in line for line in lines) == 4, "the whole past, then a chapter a minute"
    assert sum("d" in line for line in lines) == 127


@pytest.mark.parametrize("lost", [1, 9, 40, 200])
def test_a_file_that_is_cut_off_is_read_up_to_there_and_continued(read: Read, path: Path, lost: int) -> None:
    hours = record_seconds(path, 100)
    writer = RecordingWriter(path, HEADER, max_bytes=1 << 30, keep=0)
    for _ in range(30):
        hours.advance()
        writer.write_frame(hours.take_frame())
    data = path.read_bytes()[:-lost]  # as a crash leaves it
    writer.close()
    path.write_bytes(data)
    cut = read(path)
    assert not cut.faults
    (stretch,) = cut.intervals
    assert hours.now_ms - 25_000 <= stretch.end_ms <= hours.now_ms
    hours.advance()
    write_recording(path, [hours.take_frame(full_history=True)])
    whole = read(path)
    assert not whole.faults
    assert whole.intervals == [Interval(stretch.start_ms, hours.now_ms)]
    for at_ms in range(stretch.start_ms, stretch.end_ms, 7_000):
        assert whole.frame_at(at_ms) == cut.frame_at(at_ms)


def test_damage_costs_its_chapter_and_is_told(read: Read, path: Path) -> None:
    hours = record_seconds(path, 300)
    intact = read(path)
    data = bytearray(path.read_bytes())
    place = data.find(b"\x1f\x8b\x08", len(data) // 2)
    data[place + 200 : place + 210] = bytes(10)
    path.write_bytes(data)
    damaged = read(path)
    (fault,) = damaged.faults
    assert f"night.rec, byte {place:,}: the compressed data is damaged" in fault.message
    assert damaged.intervals[0].start_ms == intact.intervals[0].start_ms
    assert damaged.intervals[-1].end_ms == hours.now_ms
    one, other = damaged.frame_at(hours.now_ms).frame, intact.frame_at(hours.now_ms).frame
    assert one is not None
    assert other is not None
    assert one.snapshot.workers == other.snapshot.workers
    assert damaged.frame_at(damaged.intervals[0].start_ms) == intact.frame_at(intact.intervals[0].start_ms)


def test_a_broken_line_costs_itself_and_is_told(read: Read, path: Path) -> None:
    record_seconds(path, 50)
    lines = lines_of(path)
    lines[20] = b'{"t":17955001,"x":1}'
    lines[-1] = lines[-1][:30]
    path.write_bytes(
        gzip.compress(b"\n".join(lines[:2]) + b"\n") + gzip.compress(b"\n".join(lines[2:]) + b"\n")
    )
    recording = read(path)
    assert [fault.message.partition(": ")[2][:30] for fault in recording.faults] == [
        "line 19 of the chapter: it beg",
        "line 50 of the chapter: it beg",
    ]
    (stretch,) = recording.intervals
    found = recording.frame_at(stretch.end_ms).frame
    assert found is not None
    assert found.at_ms == stretch.end_ms - 1_000, (
        "the last line has a time and no look: the one before it holds"
    )


def test_a_gap_keeps_the_last_look_and_says_why(read: Read, path: Path) -> None:
    hours = SimulatedQueue()
    begun = hours.now_ms
    gaps = [Gap(begun + 20_000 + 1_000 * n, "Redis at x cannot be used") for n in range(300)]
    after = SimulatedQueue(begun + 321_000)
    write_recording(path, [*frames_per_second(hours, 19), *gaps, after.take_frame(full_history=True)])
    recording = read(path)
    assert recording.intervals == [Interval(begun, begun + 321_000)]
    for at_ms in (begun + 20_400, begun + 319_900):
        moment = recording.frame_at(at_ms)
        assert moment.frame is not None
        assert moment.frame.at_ms == begun + 19_000
        assert moment.gap is not None
        assert moment.gap.reason == "Redis at x cannot be used"
    assert recording.frame_at(begun + 19_500).gap is None
    assert recording.frame_at(begun + 400_000).frame == recording.frame_at(begun + 321_000).frame


def test_a_recording_may_begin_with_a_gap(read: Read, path: Path) -> None:
    write_recording(path, [Gap(5_000, "no server"), Gap(6_000, "no server")])
    recording = read(path)
    assert recording.frame_at(0) == recording.frame_at(5_500)
    assert recording.frame_at(0).frame is None
    assert recording.frame_at(0).gap == Gap(5_000, "no server")


def test_time_without_a_recorder_is_no_part_of_it(read: Read, path: Path) -> None:
    first = record_seconds(path, 10)
    begun = first.now_ms - 10_000
    second = SimulatedQueue(first.now_ms + 7_200_000)
    write_recording(path, frames_per_second(second, 10))
    recording = read(path)
    assert recording.intervals == [
        Interval(begun, first.now_ms),
        Interval(second.now_ms - 10_000, second.now_ms),
    ]


def test_a_storm_of_events_is_kept_whole(read: Read, path: Path) -> None:
    hours = SimulatedQueue(pace=0.0)

    def looks() -> Iterator[Frame]:
        yield hours.take_frame(full_history=True)
        for _ in range(40):
            hours.advance()
            for number in range(CHAPTER_EVENTS // 2):
                hours.add_event("retry", job=f"job-{number}")
            yield hours.take_frame()

    write_recording(path, looks())
    recording = read(path)
    found = recording.frame_at(hours.now_ms).frame
    assert found is not None
    assert found.snapshot.events == hours.events[-1_000:]
    early = recording.frame_at(hours.now_ms - 30_000).frame
    assert early is not None
    assert early.snapshot.events == tuple(e for e in hours.events if e.at_ms <= hours.now_ms - 30_000)


def test_a_clock_that_was_set_back_ends_a_chapter(read: Read, path: Path) -> None:
    hours = record_seconds(path, 20)
    earlier = SimulatedQueue(hours.now_ms - 600_000)
    write_recording(path, frames_per_second(earlier, 20))
    recording = read(path)
    assert not recording.faults
    found = recording.frame_at(hours.now_ms).frame
    assert found is not None
    assert found.at_ms == earlier.now_ms, "what was recorded last follows"


# -- files that take turns --------------------------------------------------------------------------------


def test_files_take_turns_and_each_can_be_read_alone(read: Read, path: Path) -> None:
    hours = SimulatedQueue()
    writer = RecordingWriter(path, HEADER, max_bytes=20_000, keep=2)
    begun = hours.now_ms
    while writer.stats.files < 6:
        writer.write_frame(hours.take_frame(full_history=writer.needs_full_history))
        hours.advance()
    for _ in range(70):
        writer.write_frame(hours.take_frame(full_history=writer.needs_full_history))
        hours.advance()
    writer.close()
    assert sorted(file.name for file in path.parent.iterdir()) == ["night.rec", "night.rec.1", "night.rec.2"]
    series = read(path)
    assert not series.faults
    assert len(series.intervals) == 1
    assert series.intervals[0].start_ms > begun, "the oldest files are gone"
    for number in (1, 2):
        alone = read(rotated_path(path, number))
        for at_ms in (alone.intervals[0].start_ms, alone.intervals[0].end_ms):
            one, other = alone.frame_at(at_ms).frame, series.frame_at(at_ms).frame
            assert one is not None
            assert other is not None
            assert charts(one.snapshot) == charts(other.snapshot)
    assert path.stat().st_mode & 0o777 == 0o600


def test_keeping_none_leaves_one_file(path: Path) -> None:
    hours = SimulatedQueue()
    writer = RecordingWriter(path, HEADER, max_bytes=10_000, keep=0)
    while writer.stats.files < 3:
        writer.write_frame(hours.take_frame(full_history=writer.needs_full_history))
        hours.advance()
    writer.close()
    assert [file.name for file in path.parent.iterdir()] == ["night.rec"]


@pytest.mark.parametrize("name", ["night.rec", "night.rec.1", "night.rec.3"])
@pytest.mark.parametrize(
    "content", [b"dear diary\n", gzip.compress(b"dear diary\n"), b"\x1f\x8b"], ids=["text", "packed", "cut"]
)
def test_what_is_no_recording_is_left_as_it_is(path: Path, name: str, content: bytes) -> None:
    foreign = path.with_name(name)
    foreign.write_bytes(content)
    with pytest.raises(NotARecording, match=name) as caught:
        RecordingWriter(path, HEADER, max_bytes=1, keep=3)
    assert caught.value.exit_code == 2
    assert foreign.read_bytes() == content


def test_what_came_in_the_way_meanwhile_is_left_as_it_is(path: Path) -> None:
    writer = RecordingWriter(path, HEADER, max_bytes=1, keep=1)
    path.with_name("night.rec.1").write_text("dear diary")
    with pytest.raises(NotARecording):
        writer.write_frame(SimulatedQueue().take_frame(full_history=True))
    writer.close()
    assert path.with_name("night.rec.1").read_text() == "dear diary"


def test_folders_pipes_and_other_queues_are_refused(path: Path) -> None:
    folder, pipe = path.with_name("folder"), path.with_name("pipe")
    folder.mkdir()
    os.mkfifo(pipe)
    with pytest.raises(CannotRecord):
        RecordingWriter(folder, HEADER, max_bytes=1, keep=0)
    with pytest.raises(NotARecording, match="no file with contents"):
        RecordingWriter(pipe, HEADER, max_bytes=1, keep=0)
    record_seconds(path, 3)
    before = path.read_bytes()
    with pytest.raises(CannotRecord, match="is a recording of queue preview-jobs, not of lessons"):
        RecordingWriter(path, replace(HEADER, queue="lessons"), max_bytes=1 << 30, keep=0)
    assert path.read_bytes() == before


def test_an_old_file_of_another_queue_is_neither_replaced_nor_replayed(read: Read, path: Path) -> None:
    hours = record_seconds(path, 3)
    other = RecordingWriter(
        rotated_path(path, 1), replace(HEADER, queue="lessons"), max_bytes=1 << 30, keep=0
    )
    other.write_frame(SimulatedQueue(hours.now_ms - 100_000).take_frame(full_history=True))
    other.close()
    before = rotated_path(path, 1).read_bytes()
    assert read(path).intervals == [Interval(hours.now_ms - 3_000, hours.now_ms)]
    with pytest.raises(
        CannotRecord, match=r"night\.rec\.1 is a recording of queue lessons, not of preview-jobs"
    ):
        RecordingWriter(path, HEADER, max_bytes=1, keep=1)
    writer = RecordingWriter(path.with_name("late.rec"), HEADER, max_bytes=1, keep=1)
    path.with_name("late.rec.1").write_bytes(before)  # it came in the way meanwhile
    with pytest.raises(CannotRecord, match=r"late\.rec\.1 is a recording of queue lessons"):
        writer.write_frame(hours.take_frame(full_history=True))
    writer.close()
    assert rotated_path(path, 1).read_bytes() == path.with_name("late.rec.1").read_bytes() == before


def test_only_one_process_writes(path: Path) -> None:
    writer = RecordingWriter(path, HEADER, max_bytes=1 << 30, keep=0)
    with pytest.raises(CannotRecord, match="another process writes"):
        RecordingWriter(path, HEADER, max_bytes=1 << 30, keep=0)
    writer.close()
    RecordingWriter(path, HEADER, max_bytes=1 << 30, keep=0).close()


def test_a_full_disk_is_told(read: Read, path: Path) -> None:
    hours = SimulatedQueue()
    writer = RecordingWriter(path, HEADER, max_bytes=1 << 30, keep=0)
    writer.write_frame(hours.take_frame(full_history=True))
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + 5, limits[1]))
    try:
        hours.advance()
        with pytest.raises(CannotRecord, match=r"night\.rec cannot be written: File too large"):
            writer.write_frame(hours.take_frame())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert writer.close().frames == 1
    assert read(path).frame_at(hours.now_ms).frame is not None


# -- reading what is none ---------------------------------------------------------------------------------


def test_what_cannot_be_read_says_what_was_found(path: Path) -> None:
    with pytest.raises(NotARecording, match="there is no such file"):
        Recording.open(path)
    with pytest.raises(NotARecording, match="it is a folder"):
        Recording.open(path.parent)
    path.write_bytes(b"")
    with pytest.raises(NotARecording, match="it is empty"):
        Recording.open(path)
    path.write_bytes(b"PNG whatever")
    with pytest.raises(NotARecording, match="it begins with b'PNG what'"):
        Recording.open(path)
    path.write_bytes(gzip.compress(b"dear diary\n", mtime=0))
    with pytest.raises(NotARecording, match="it begins with b'dear diary', which is no JSON"):
        Recording.open(path)


def test_a_later_version_is_told(path: Path) -> None:
    record_seconds(path, 3)
    data = gzip.decompress(path.read_bytes()).replace(b'"version":1', b'"version":9')
    path.write_bytes(gzip.compress(data, mtime=0))
    for attempt in (lambda: Recording.open(path), lambda: RecordingWriter(path, HEADER, max_bytes=1, keep=0)):
        with pytest.raises(RecordingTooNew, match="of version 9; up to 1 is read here"):
            attempt()


def test_one_that_has_only_begun_says_so(path: Path) -> None:
    RecordingWriter(path, HEADER, max_bytes=1, keep=0).close()
    with pytest.raises(NotARecording, match="it is empty"):
        Recording.open(path)
    path.write_bytes(
        gzip.compress(b'{"previewops":"recording","version":1,"queue":"q","every":1}\n', mtime=0)
    )
    with pytest.raises(RecordingBroken, match="nothing is recorded in it yet"):
        Recording.open(path)


def test_a_bomb_is_not_unpacked(read: Read, path: Path) -> None:
    record_seconds(path, 3)
    bomb = gzip.compress(bytes(40 << 20), mtime=0)
    path.write_bytes(path.read_bytes() + bomb)
    (fault,) = read(path).faults
    assert "a chapter has more than" in fault.message


def test_a_chapter_of_changes_of_nothing_is_given_up_after_some(read: Read, path: Path) -> None:
    record_seconds(path, 3)
    after_ms = scenes.NOW_MS + 5_000
    lines = [lines_of(path)[0], *(b'{"t":%d,"d":{}}' % (after_ms + n) for n in range(90_000)), b""]
    path.write_bytes(path.read_bytes() + gzip.compress(b"\n".join(lines), mtime=0))
    recording = read(path)
    assert recording.fault_count == MOST_TRIES
    assert "there is no whole look before it" in recording.faults[0].message
    found = recording.frame_at(after_ms + 90_000).frame
    assert found is not None
    assert found.at_ms < after_ms, "what was known before is what is known"


def test_buckets_of_another_time_are_left_out(read: Read, path: Path) -> None:
    now_ms = scenes.NOW_MS // MINUTE_MS * MINUTE_MS
    within = [CounterBucket(now_ms - ago, {"completed": 1}, {}, {}) for ago in (86_400_000, 0)]
    beyond = [
        CounterBucket(start_ms, {}, {}, {}) for start_ms in (0, now_ms - 90_000_000, now_ms + 10_000, 2**62)
    ]
    ahead = CounterBucket(now_ms + 60_000, {"died": 7}, {}, {}, MINUTE_MS)
    strange = replace(
        scenes.BUSY, now_ms=now_ms, buckets=(*within, *beyond), minutes=(ahead,), history_s=0, history_min=0
    )
    later = replace(scenes.BUSY, now_ms=now_ms + 120_000, buckets=(), minutes=(), history_s=0, history_min=0)
    write_recording(path, [Frame(strange), Frame(later)])
    recording = read(path)
    (fault,) = recording.faults
    assert "byte 0: 5 buckets not of the day before the look, left out" in fault.message
    found = recording.frame_at(later.now_ms).frame
    assert found is not None
    assert [bucket.start_ms for bucket in found.snapshot.buckets] == [now_ms]
    assert [bucket.start_ms for bucket in found.snapshot.minutes] == [now_ms]


def test_what_is_kept_of_all_looks_is_bounded() -> None:
    past, hours = HistoryIndex(most_bytes=20_000), SimulatedQueue()
    told = []
    for _ in range(200):
        hours.advance(20_000)
        hours.add_event("retry", job="x" * 100)
        told.append(past.add(hours.take_frame(full_history=True).snapshot))
    assert told[0] == told[10] == ""
    assert told[-1] == "the past of all its looks takes more than 20,000 bytes; the rest is left out"
    assert 10 < past.event_count < 200
    latest = hours.take_frame(full_history=True).snapshot
    assert past.with_history(latest, past.event_count).events[-1] == latest.events[-1], (
        "its own are shown all the same"
    )


def test_a_change_is_read_with_the_whole_look_before_it(read: Read, path: Path) -> None:
    hours = record_seconds(path, 4)
    heading, _, _, whole, *changes = lines_of(path)
    other = whole.replace(b'"q":"preview-jobs"', b'"q":"lessons"')
    path.write_bytes(gzip.compress(b"\n".join((heading, whole, *changes, other, *changes, b""))))
    recording = read(path)
    page = recording._page(0)
    names = {place: page.look_at(place).snapshot.queue_name for place in (7, 1, 4, 3, 0, 5)}
    assert names == {
        0: "preview-jobs",
        1: "preview-jobs",
        3: "preview-jobs",
        4: "lessons",
        5: "lessons",
        7: "lessons",
    }
    path.write_bytes(gzip.compress(b"\n".join((heading, whole, *changes, b'{"t":1,"f":7}', changes[0], b""))))
    broken = read(path)
    assert "there is no whole look before it" in broken.faults[0].message
    found = broken.frame_at(hours.now_ms).frame
    assert found is not None
    assert found.at_ms == hours.now_ms, "the look before the broken one"


def test_opening_tells_how_far_it_is_and_can_be_given_up(path: Path) -> None:
    record_seconds(path, 200)
    told: list[tuple[int, int]] = []
    Recording.open(path, lambda done, total: told.append((done, total))).close()
    assert told == sorted(told)
    assert told[-1] == (path.stat().st_size, path.stat().st_size)

    def give_up(_done: int, _total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Recording.open(path, give_up)
