"""Recordings in files: frames of any moment with their history, damaged and truncated files, rotation, locks."""

from __future__ import annotations

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
from previewops.recording.reader import MAX_TRIES, Interval, Recording
from previewops.recording.writer import CHAPTER_EVENTS, RecordingWriter, rotated_path
from previewops.snapshot.history import History, Period
from previewops.snapshot.model import MINUTE_MS, CounterBucket, Snapshot
from tests.recording_support import (
    HEADER,
    SimulatedQueue,
    compress,
    decompress,
    each_second,
    record_seconds,
    write_recording,
)
from tests.tui import scenes

COLUMNS = 60

Read = Callable[[Path], Recording]


def charts(snapshot: Snapshot) -> tuple[object, ...]:
    history = History().with_snapshot(snapshot)
    return tuple(history.columns(period, COLUMNS, snapshot.now_ms) for period in Period)


def lines_of(path: Path) -> list[bytes]:
    return decompress(path.read_bytes()).splitlines()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "night.rec"


@pytest.fixture
def read() -> Iterator[Read]:
    """Opens recordings, and closes them at the end."""
    with ExitStack() as stack:

        def opened(path: Path) -> Recording:
            recording = Recording.open(path)
            stack.callback(recording.close)
            return recording

        yield opened


def test_any_moment_is_read_with_its_history(read: Read, path: Path) -> None:
    queue = SimulatedQueue(pace=3.0)
    for _ in range(1_500):
        queue.advance(60_000)  # the day before the recording
    expected_frames: dict[int, Frame] = {}

    def frames() -> Iterator[Frame]:
        for number in range(900):
            queue.advance(5_000)
            yield queue.take_frame(full_history=number == 0)
            if number % 97 == 0:
                expected_frames[queue.now_ms] = queue.take_frame(full_history=True)

    write_recording(path, frames())
    recording = read(path)
    assert not recording.faults
    moments = list(expected_frames)
    random.Random(5).shuffle(moments)
    for at_ms in (*moments, min(moments), max(moments), min(moments)):
        frame = recording.frame_at(at_ms + 1_300).frame
        assert frame is not None
        expected = expected_frames[at_ms]
        assert charts(frame.snapshot) == charts(expected.snapshot)
        assert frame.snapshot.events == expected.snapshot.events
        assert frame.snapshot.workers == expected.snapshot.workers
        assert frame.health == scenes.HEALTH


def test_the_lines_can_be_read_by_other_programs(path: Path) -> None:
    record_seconds(path, 130)
    lines = [json.loads(line) for line in lines_of(path)]
    assert lines[0] == {"previewops": "recording", "version": 1, "queue": "preview-jobs", "interval_s": 1.0}
    assert [set(line) for line in lines[1:3]] == [
        {"t", "snapshot", "health"},
        {"previewops", "version", "queue", "interval_s"},
    ]
    assert sum("previewops" in line for line in lines) == 4, "the full history, then a chapter a minute"
    assert sum("snapshot" in line for line in lines) == 131


@pytest.mark.parametrize("lost", [1, 9, 40, 200])
def test_a_truncated_file_is_read_up_to_its_end_and_continued(read: Read, path: Path, lost: int) -> None:
    queue = record_seconds(path, 100)
    writer = RecordingWriter(path, HEADER, max_bytes=1 << 30, keep=0)
    for _ in range(30):
        queue.advance()
        writer.write_frame(queue.take_frame())
    data = path.read_bytes()[:-lost]  # as a crash leaves it
    writer.close()
    path.write_bytes(data)
    cut = read(path)
    assert not cut.faults
    (interval,) = cut.intervals
    assert queue.now_ms - 25_000 <= interval.end_ms <= queue.now_ms
    queue.advance()
    write_recording(path, [queue.take_frame(full_history=True)])
    continued = read(path)
    assert not continued.faults
    assert continued.intervals == [Interval(interval.start_ms, queue.now_ms)]
    for at_ms in range(interval.start_ms, interval.end_ms, 7_000):
        assert continued.frame_at(at_ms) == cut.frame_at(at_ms)


def test_damage_is_reported_and_costs_one_chapter(read: Read, path: Path) -> None:
    queue = record_seconds(path, 300)
    intact = read(path)
    data = bytearray(path.read_bytes())
    place = data.find(b"\x28\xb5\x2f\xfd", len(data) // 2)
    data[place + 200 : place + 210] = bytes(10)
    path.write_bytes(data)
    damaged = read(path)
    (fault,) = damaged.faults
    assert f"night.rec, byte {place:,}: the compressed data is damaged" in fault.message
    assert damaged.intervals[0].start_ms == intact.intervals[0].start_ms
    assert damaged.intervals[-1].end_ms == queue.now_ms
    one, other = damaged.frame_at(queue.now_ms).frame, intact.frame_at(queue.now_ms).frame
    assert one is not None
    assert other is not None
    assert one.snapshot.workers == other.snapshot.workers
    assert damaged.frame_at(damaged.intervals[0].start_ms) == intact.frame_at(intact.intervals[0].start_ms)


def test_an_invalid_line_is_reported_and_costs_itself(read: Read, path: Path) -> None:
    record_seconds(path, 50)
    lines = lines_of(path)
    lines[20] = b'{"t":17955001,"x":1}'
    lines[-1] = lines[-1][:30]
    path.write_bytes(compress(b"\n".join(lines[:2]) + b"\n") + compress(b"\n".join(lines[2:]) + b"\n"))
    recording = read(path)
    assert [fault.message.partition(": ")[2][:30] for fault in recording.faults] == [
        "line 19 of the chapter: found ",
        "line 50 of the chapter: found ",
    ]
    (interval,) = recording.intervals
    frame = recording.frame_at(interval.end_ms).frame
    assert frame is not None
    assert frame.at_ms == interval.end_ms - 1_000, (
        "the last line has a time and no snapshot, so the frame before it is shown"
    )


def test_a_gap_shows_the_last_frame_and_its_reason(read: Read, path: Path) -> None:
    queue = SimulatedQueue()
    begun = queue.now_ms
    gaps = [Gap(begun + 20_000 + 1_000 * n, "Redis at x cannot be used") for n in range(300)]
    after = SimulatedQueue(begun + 321_000)
    write_recording(path, [*each_second(queue, 19), *gaps, after.take_frame(full_history=True)])
    recording = read(path)
    assert recording.intervals == [Interval(begun, begun + 321_000)]
    for at_ms in (begun + 20_400, begun + 319_900):
        position = recording.frame_at(at_ms)
        assert position.frame is not None
        assert position.frame.at_ms == begun + 19_000
        assert position.gap is not None
        assert position.gap.reason == "Redis at x cannot be used"
    assert recording.frame_at(begun + 19_500).gap is None
    assert recording.frame_at(begun + 400_000).frame == recording.frame_at(begun + 321_000).frame


def test_a_recording_may_begin_with_a_gap(read: Read, path: Path) -> None:
    write_recording(path, [Gap(5_000, "no server"), Gap(6_000, "no server")])
    recording = read(path)
    assert recording.frame_at(0) == recording.frame_at(5_500)
    assert recording.frame_at(0).frame is None
    assert recording.frame_at(0).gap == Gap(5_000, "no server")


def test_time_without_a_recorder_is_left_out(read: Read, path: Path) -> None:
    first = record_seconds(path, 10)
    begun = first.now_ms - 10_000
    second = SimulatedQueue(first.now_ms + 7_200_000)
    write_recording(path, each_second(second, 10))
    recording = read(path)
    assert recording.intervals == [
        Interval(begun, first.now_ms),
        Interval(second.now_ms - 10_000, second.now_ms),
    ]


def test_many_events_are_all_recorded(read: Read, path: Path) -> None:
    queue = SimulatedQueue(pace=0.0)

    def frames() -> Iterator[Frame]:
        yield queue.take_frame(full_history=True)
        for _ in range(40):
            queue.advance()
            for number in range(CHAPTER_EVENTS // 2):
                queue.add_event("retry", job=f"job-{number}")
            yield queue.take_frame()

    write_recording(path, frames())
    recording = read(path)
    frame = recording.frame_at(queue.now_ms).frame
    assert frame is not None
    assert frame.snapshot.events == queue.events[-1_000:]
    early = recording.frame_at(queue.now_ms - 30_000).frame
    assert early is not None
    assert early.snapshot.events == tuple(
        event for event in queue.events if event.at_ms <= queue.now_ms - 30_000
    )


def test_a_clock_that_is_set_back_ends_a_chapter(read: Read, path: Path) -> None:
    queue = record_seconds(path, 20)
    earlier = SimulatedQueue(queue.now_ms - 600_000)
    write_recording(path, each_second(earlier, 20))
    recording = read(path)
    assert not recording.faults
    frame = recording.frame_at(queue.now_ms).frame
    assert frame is not None
    assert frame.at_ms == earlier.now_ms, "the later entries follow"


# -- rotation --------------------------------------------------------------------------------


def test_files_are_rotated_and_each_can_be_read_alone(read: Read, path: Path) -> None:
    queue = SimulatedQueue()
    writer = RecordingWriter(path, HEADER, max_bytes=20_000, keep=2)
    begun = queue.now_ms
    while writer.stats.files < 6:
        writer.write_frame(queue.take_frame(full_history=writer.needs_full_history))
        queue.advance()
    for _ in range(70):
        writer.write_frame(queue.take_frame(full_history=writer.needs_full_history))
        queue.advance()
    writer.close()
    assert sorted(file.name for file in path.parent.iterdir()) == ["night.rec", "night.rec.1", "night.rec.2"]
    series = read(path)
    assert not series.faults
    assert len(series.intervals) == 1
    assert series.intervals[0].start_ms > begun, "the oldest files are deleted"
    for number in (1, 2):
        alone = read(rotated_path(path, number))
        for at_ms in (alone.intervals[0].start_ms, alone.intervals[0].end_ms):
            one, other = alone.frame_at(at_ms).frame, series.frame_at(at_ms).frame
            assert one is not None
            assert other is not None
            assert charts(one.snapshot) == charts(other.snapshot)
    assert path.stat().st_mode & 0o777 == 0o600


def test_without_rotated_files_one_file_is_left(path: Path) -> None:
    queue = SimulatedQueue()
    writer = RecordingWriter(path, HEADER, max_bytes=10_000, keep=0)
    while writer.stats.files < 3:
        writer.write_frame(queue.take_frame(full_history=writer.needs_full_history))
        queue.advance()
    writer.close()
    assert [file.name for file in path.parent.iterdir()] == ["night.rec"]


@pytest.mark.parametrize("name", ["night.rec", "night.rec.1", "night.rec.3"])
@pytest.mark.parametrize(
    "content",
    [b"dear diary\n", compress(b"dear diary\n"), b"\x28\xb5\x2f\xfd"],
    ids=["text", "compressed", "truncated"],
)
def test_other_files_are_left_unchanged(path: Path, name: str, content: bytes) -> None:
    foreign = path.with_name(name)
    foreign.write_bytes(content)
    with pytest.raises(NotARecording, match=name) as caught:
        RecordingWriter(path, HEADER, max_bytes=1, keep=3)
    assert caught.value.exit_code == 2
    assert foreign.read_bytes() == content


def test_a_file_that_appears_before_the_rotation_is_left_unchanged(path: Path) -> None:
    writer = RecordingWriter(path, HEADER, max_bytes=1, keep=1)
    path.with_name("night.rec.1").write_text("dear diary")
    with pytest.raises(NotARecording):
        writer.write_frame(SimulatedQueue().take_frame(full_history=True))
    writer.close()
    assert path.with_name("night.rec.1").read_text() == "dear diary"


def test_folders_pipes_and_recordings_of_other_queues_are_rejected(path: Path) -> None:
    folder, pipe = path.with_name("folder"), path.with_name("pipe")
    folder.mkdir()
    os.mkfifo(pipe)
    with pytest.raises(CannotRecord):
        RecordingWriter(folder, HEADER, max_bytes=1, keep=0)
    with pytest.raises(NotARecording, match="not a regular file"):
        RecordingWriter(pipe, HEADER, max_bytes=1, keep=0)
    record_seconds(path, 3)
    before = path.read_bytes()
    with pytest.raises(CannotRecord, match="is a recording of queue preview-jobs, not of lessons"):
        RecordingWriter(path, replace(HEADER, queue="lessons"), max_bytes=1 << 30, keep=0)
    assert path.read_bytes() == before


def test_a_rotated_file_of_another_queue_is_neither_replaced_nor_read(read: Read, path: Path) -> None:
    queue = record_seconds(path, 3)
    other = RecordingWriter(
        rotated_path(path, 1), replace(HEADER, queue="lessons"), max_bytes=1 << 30, keep=0
    )
    other.write_frame(SimulatedQueue(queue.now_ms - 100_000).take_frame(full_history=True))
    other.close()
    before = rotated_path(path, 1).read_bytes()
    assert read(path).intervals == [Interval(queue.now_ms - 3_000, queue.now_ms)]
    with pytest.raises(
        CannotRecord, match=r"night\.rec\.1 is a recording of queue lessons, not of preview-jobs"
    ):
        RecordingWriter(path, HEADER, max_bytes=1, keep=1)
    writer = RecordingWriter(path.with_name("late.rec"), HEADER, max_bytes=1, keep=1)
    path.with_name("late.rec.1").write_bytes(before)  # it appears after the check at the start
    with pytest.raises(CannotRecord, match=r"late\.rec\.1 is a recording of queue lessons"):
        writer.write_frame(queue.take_frame(full_history=True))
    writer.close()
    assert rotated_path(path, 1).read_bytes() == path.with_name("late.rec.1").read_bytes() == before


def test_only_one_process_writes(path: Path) -> None:
    writer = RecordingWriter(path, HEADER, max_bytes=1 << 30, keep=0)
    with pytest.raises(CannotRecord, match="another process writes"):
        RecordingWriter(path, HEADER, max_bytes=1 << 30, keep=0)
    writer.close()
    RecordingWriter(path, HEADER, max_bytes=1 << 30, keep=0).close()


def test_a_full_disk_is_reported(read: Read, path: Path) -> None:
    queue = SimulatedQueue()
    writer = RecordingWriter(path, HEADER, max_bytes=1 << 30, keep=0)
    writer.write_frame(queue.take_frame(full_history=True))
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + 5, limits[1]))
    try:
        queue.advance()
        with pytest.raises(CannotRecord, match=r"night\.rec cannot be written: File too large"):
            writer.write_frame(queue.take_frame())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert writer.close().frames == 1
    assert read(path).frame_at(queue.now_ms).frame is not None


# -- invalid files ---------------------------------------------------------------------------------


def test_other_files_are_rejected_with_their_first_bytes(path: Path) -> None:
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
    path.write_bytes(compress(b"dear diary\n"))
    with pytest.raises(NotARecording, match="found b'dear diary', which is not JSON"):
        Recording.open(path)


def test_a_later_version_is_reported(path: Path) -> None:
    record_seconds(path, 3)
    data = decompress(path.read_bytes()).replace(b'"version":1', b'"version":9')
    path.write_bytes(compress(data))
    for attempt in (lambda: Recording.open(path), lambda: RecordingWriter(path, HEADER, max_bytes=1, keep=0)):
        with pytest.raises(RecordingTooNew, match="found recording version 9, supported is 1"):
            attempt()


def test_a_recording_without_entries_is_rejected(path: Path) -> None:
    RecordingWriter(path, HEADER, max_bytes=1, keep=0).close()
    with pytest.raises(NotARecording, match="it is empty"):
        Recording.open(path)
    path.write_bytes(compress(b'{"previewops":"recording","version":1,"queue":"q","interval_s":1}\n'))
    with pytest.raises(RecordingBroken, match="no frame is recorded yet"):
        Recording.open(path)


def test_a_decompression_bomb_is_not_read(read: Read, path: Path) -> None:
    record_seconds(path, 3)
    bomb = compress(bytes(40 << 20))
    path.write_bytes(path.read_bytes() + bomb)
    (fault,) = read(path).faults
    assert "more bytes than the allowed 33,554,432" in fault.message


def test_a_chapter_of_invalid_frames_is_abandoned_after_some_tries(read: Read, path: Path) -> None:
    record_seconds(path, 3)
    after_ms = scenes.NOW_MS + 5_000
    lines = [lines_of(path)[0], *(b'{"t":%d,"snapshot":{}}' % (after_ms + n) for n in range(90_000)), b""]
    path.write_bytes(path.read_bytes() + compress(b"\n".join(lines)))
    recording = read(path)
    assert recording.fault_count == MAX_TRIES
    assert "missing required field" in recording.faults[0].message
    frame = recording.frame_at(after_ms + 90_000).frame
    assert frame is not None
    assert frame.at_ms < after_ms, "the last valid frame is shown"


def test_buckets_of_another_day_are_left_out(read: Read, path: Path) -> None:
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
    assert "byte 0: 5 buckets not of the day before the frame, left out" in fault.message
    frame = recording.frame_at(later.now_ms).frame
    assert frame is not None
    assert [bucket.start_ms for bucket in frame.snapshot.buckets] == [now_ms]
    assert [bucket.start_ms for bucket in frame.snapshot.minutes] == [now_ms]


def test_the_history_index_is_bounded() -> None:
    index, queue = HistoryIndex(max_bytes=20_000), SimulatedQueue()
    messages = []
    for _ in range(200):
        queue.advance(20_000)
        queue.add_event("retry", job="x" * 100)
        messages.append(index.add(queue.take_frame(full_history=True).snapshot))
    assert messages[0] == messages[10] == ""
    assert "more than the allowed 20,000 bytes" in messages[-1]
    assert 10 < index.event_count < 200
    latest = queue.take_frame(full_history=True).snapshot
    assert index.with_history(latest, index.event_count).events[-1] == latest.events[-1], (
        "the events of the frame itself are kept"
    )


def test_opening_reports_its_progress_and_can_be_stopped(path: Path) -> None:
    record_seconds(path, 200)
    calls: list[tuple[int, int]] = []
    Recording.open(path, lambda done, total: calls.append((done, total))).close()
    assert calls == sorted(calls)
    assert calls[-1] == (path.stat().st_size, path.stat().st_size)

    def stop(_done: int, _total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Recording.open(path, stop)
