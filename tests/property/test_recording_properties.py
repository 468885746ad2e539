"""Every look comes back from a recording as it went in, and no file that anybody makes brings a reader down."""

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
from previewops.recording.format import Decoder, Encoder, Entry, Frame, Gap, InvalidLine, tag_of
from previewops.recording.patch import applied, difference
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


def several(values: st.SearchStrategy[Any]) -> st.SearchStrategy[tuple[Any, ...]]:
    return st.lists(values, max_size=4).map(tuple)


snapshots = st.builds(
    Snapshot,
    queue_name=texts,
    now_ms=st.integers(0, 253_402_300_799_000),
    paused=st.booleans(),
    paused_since_ms=st.none() | moments,
    paused_by=texts,
    paused_why=texts,
    waiting=by_priority,
    delayed=counts,
    active=counts,
    dead=counts,
    oldest_waiting_ms=counts,
    counters=st.dictionaries(texts, counts, max_size=4),
    workers=several(workers),
    buckets=several(buckets),
    data_lost_ms=st.none() | moments,
    minutes=several(buckets),
    events=several(events),
    events_total=counts,
    supervisors=several(supervisors),
    running_jobs=several(runs),
    oldest_wait_ms=by_priority,
    completed_kept=counts,
    history_s=st.integers(0, HOUR_S),
    history_min=st.integers(0, DAY_MIN),
)
verdicts = st.builds(
    Health,
    several(st.builds(Check, texts, st.sampled_from(Status), texts, texts, texts)),
    several(st.builds(PerfdataValue, texts, shares, texts, texts, texts)),
)
looks = st.builds(Frame, snapshots, st.none() | verdicts)
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
objects = st.dictionaries(st.sampled_from("abcd"), json_values, max_size=4)


@st.composite
def hours(draw: st.DrawFn) -> list[Entry]:
    """Looks that have most in common, as those of one queue, with gaps between them."""
    entries: list[Entry] = []
    pool = draw(st.lists(looks, min_size=1, max_size=2))
    for _ in range(draw(st.integers(1, 5))):
        one, other = draw(st.sampled_from(pool)), draw(st.sampled_from(pool))
        names = draw(st.lists(st.sampled_from(Snapshot.__slots__), max_size=6))
        mixed = {name: getattr(other.snapshot, name) for name in names}
        entries.append(Frame(_replaced(one.snapshot, mixed), one.health))
        if draw(st.booleans()):
            entries.append(draw(gaps))
    return entries


def _replaced(snapshot: Snapshot, changes: dict[str, Any]) -> Snapshot:
    values = {name: getattr(snapshot, name) for name in Snapshot.__slots__}
    shuffled = {**values, **changes}
    shuffled["workers"] = tuple(reversed(shuffled["workers"]))
    return Snapshot(**shuffled)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(hours())
def test_what_is_encoded_is_decoded_the_same(entries: list[Entry]) -> None:
    encoder, decoder = Encoder(), Decoder()
    for entry in entries:
        line = encoder.encode(entry)
        assert line.count(b"\n") == 1
        assert decoder.decode(line) == entry
        assert tag_of(line).at_ms == entry.at_ms


@given(objects, objects)
def test_a_patch_makes_the_new_object_out_of_the_old(old: dict[str, Any], new: dict[str, Any]) -> None:
    before = json.dumps(old)
    patch = json.loads(json.dumps(difference(old, new)))
    assert applied(old, patch) == new
    assert json.dumps(old) == before
    assert (patch == {}) == (old == new)


@given(objects, json_values)
def test_a_strange_patch_is_refused_and_no_more(old: dict[str, Any], patch: Any) -> None:
    for strange in (patch, {"p": patch}, {"p": dict.fromkeys(old, patch)}, {"r": patch, "s": patch}):
        with suppress(ValueError):
            applied(old, strange)


@given(st.binary(max_size=200) | json_values.map(lambda value: json.dumps({"t": 1, "f": value}).encode()))
def test_a_strange_line_is_unreadable_and_no_more(line: bytes) -> None:
    for strange in (line, b'{"t":1,"f":' + line, b'{"t":1,"d":' + line, b'{"t":1,"g":' + line):
        with suppress(InvalidLine):
            Decoder().decode(strange)


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
def test_a_damaged_file_is_read_as_far_as_it_goes_or_refused(
    intact: bytes, tmp_path: Path, damage: list[tuple[int, bytes]], cut: int | None
) -> None:
    data = bytearray(intact)
    for somewhere, junk in damage:
        place = somewhere % len(data)
        data[place : place + len(junk)] = junk
    path = tmp_path / "damaged.rec"
    path.write_bytes(bytes(data[: None if cut is None else cut % len(data)]))
    try:
        recording = Recording.open(path)
    except PreviewopsError:
        return
    for stretch in recording.intervals:
        for at_ms in (stretch.start_ms, (stretch.start_ms + stretch.end_ms) // 2, stretch.end_ms):
            recording.frame_at(at_ms)
    recording.close()


@given(st.binary(max_size=300))
def test_a_foreign_file_is_called_one(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = tmp_path_factory.mktemp("foreign") / "f.rec"
    path.write_bytes(content)
    with pytest.raises(NotARecording):
        Recording.open(path)
