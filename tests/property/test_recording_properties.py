"""Every entry of a recording is decoded unchanged, and no file makes a reader fail unexpectedly."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from previewops.errors import PreviewopsError
from previewops.health import Check, Health, PerfdataValue, Status
from previewops.recording.errors import NotARecording
from previewops.recording.format import Entry, Frame, Gap, InvalidLine, decode, encode, parse_tag
from previewops.recording.reader import Recording
from previewops.snapshot.fleet import SupervisedWorker, SupervisorState, SupervisorStatus, WorkerCountRange
from previewops.snapshot.history import DAY_MIN, HOUR_S
from previewops.snapshot.model import (
    MINUTE_MS,
    TEN_SECONDS_MS,
    CounterBucket,
    QueueEvent,
    RunningJob,
    Snapshot,
    WorkerState,
)
from previewops.states import Priority
from tests.recording_support import record_seconds

texts = st.text(max_size=12) | st.sampled_from(["i", "s", "\x1b[2J", "\ud800", "名前"])
counts = st.integers(0, 2**40)
numbers = st.integers(-(2**31), 2**40)
moments = st.integers(0, 2**45)
shares = st.floats(allow_nan=False, allow_infinity=False)
bins = st.dictionaries(st.integers(0, 120), counts, max_size=5)
priorities = st.sampled_from(Priority)
by_priority = st.dictionaries(priorities, counts)

buckets = st.builds(
    CounterBucket,
    moments,
    st.dictionaries(texts, counts, max_size=4),
    bins,
    bins,
    st.sampled_from([TEN_SECONDS_MS, MINUTE_MS]),
)
events = st.builds(QueueEvent, texts, moments, texts, st.dictionaries(texts, texts, max_size=3))
runs = st.builds(RunningJob, texts, texts, priorities, texts, moments, shares, texts, numbers, numbers)
workers = st.builds(
    WorkerState,
    texts, texts, numbers, texts, numbers, numbers, numbers, moments, moments, numbers, numbers, texts,
    st.lists(texts, max_size=3).map(tuple), shares, numbers,
)  # fmt: skip
supervised = st.builds(SupervisedWorker, texts, numbers, texts, st.none() | numbers, numbers, texts)
supervisors = st.builds(
    SupervisorStatus,
    texts,
    moments,
    st.booleans(),
    st.builds(
        SupervisorState,
        texts, numbers, texts, texts, texts, numbers, st.builds(WorkerCountRange, numbers, numbers), numbers,
        moments, texts,
        st.lists(supervised, max_size=3).map(tuple),
    ),
)  # fmt: skip


def tuples_of(values: st.SearchStrategy[Any]) -> st.SearchStrategy[tuple[Any, ...]]:
    return st.lists(values, max_size=4).map(tuple)


snapshots = st.builds(
    Snapshot,
    queue_name=texts,
    now_ms=st.integers(0, 253_402_300_799_000),
    paused=st.booleans(),
    paused_since_ms=st.none() | moments,
    paused_by=texts,
    pause_reason=texts,
    waiting=by_priority,
    delayed=counts,
    active=counts,
    dead=counts,
    oldest_waiting_ms=counts,
    counters=st.dictionaries(texts, counts, max_size=4),
    workers=tuples_of(workers),
    buckets=tuples_of(buckets),
    data_lost_ms=st.none() | moments,
    minutes=tuples_of(buckets),
    events=tuples_of(events),
    events_total=counts,
    supervisors=tuples_of(supervisors),
    running_jobs=tuples_of(runs),
    oldest_wait_ms=by_priority,
    completed_kept=counts,
    history_s=st.integers(0, HOUR_S),
    history_min=st.integers(0, DAY_MIN),
)
healths = st.builds(
    Health,
    tuples_of(st.builds(Check, texts, st.sampled_from(Status), texts, texts, texts)),
    tuples_of(st.builds(PerfdataValue, texts, shares, texts, texts, texts)),
)
frames = st.builds(Frame, snapshots, st.none() | healths)
gaps = st.builds(Gap, st.integers(0, 253_402_300_799_000), texts)

json_values = st.recursive(
    st.none() | st.integers() | texts,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(texts, inner, max_size=3)
        | st.lists(st.dictionaries(st.sampled_from("iab"), texts | st.integers(), max_size=3), max_size=4)
    ),
    max_leaves=10,
)
entries = frames | gaps


@settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow])
@given(entries)
def test_an_encoded_entry_is_decoded_unchanged(entry: Entry) -> None:
    line = encode(entry)
    assert line.count(b"\n") == 1
    assert decode(line) == entry
    assert parse_tag(line).at_ms == entry.at_ms


@given(
    st.binary(max_size=200) | json_values.map(lambda value: json.dumps({"t": 1, "snapshot": value}).encode())
)
def test_an_invalid_line_is_reported(line: bytes) -> None:
    for prefixed in (line, b'{"t":1,"snapshot":' + line, b'{"t":1,"gap":' + line):
        with suppress(InvalidLine):
            decode(prefixed)


@pytest.fixture(scope="module")
def intact(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("intact") / "q.rec"
    record_seconds(path, 150)
    return path.read_bytes()


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    damage=st.lists(st.tuples(st.integers(0, 2**20), st.binary(min_size=1, max_size=30)), max_size=4),
    cut=st.none() | st.integers(0, 2**20),
)
def test_a_damaged_file_is_read_in_part_or_rejected(
    intact: bytes, tmp_path: Path, damage: list[tuple[int, bytes]], cut: int | None
) -> None:
    data = bytearray(intact)
    for offset, junk in damage:
        place = offset % len(data)
        data[place : place + len(junk)] = junk
    path = tmp_path / "damaged.rec"
    path.write_bytes(bytes(data[: None if cut is None else cut % len(data)]))
    try:
        recording = Recording.open(path)
    except PreviewopsError:
        return
    for interval in recording.intervals:
        for at_ms in (interval.start_ms, (interval.start_ms + interval.end_ms) // 2, interval.end_ms):
            recording.frame_at(at_ms)
    recording.close()


@given(st.binary(max_size=300))
def test_another_file_is_not_a_recording(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = tmp_path_factory.mktemp("other") / "f.rec"
    path.write_bytes(content)
    with pytest.raises(NotARecording):
        Recording.open(path)
