"""Lines of a recording: entries are decoded unchanged, and an invalid line is reported with the path of its value."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from previewops.recording.format import (
    Frame,
    Gap,
    Header,
    InvalidLine,
    NotARecordingLine,
    Tag,
    UnsupportedVersion,
    decode,
    encode,
    encode_header,
    parse_header,
    parse_tag,
)
from previewops.snapshot.model import Snapshot
from tests.tui import scenes

BUSY = Frame(scenes.BUSY, scenes.HEALTH)


@pytest.mark.parametrize("scene", ["BUSY", "IDLE", "EMPTY", "PAUSED"])
def test_scenes_are_decoded_unchanged(scene: str) -> None:
    snapshot: Snapshot = getattr(scenes, scene)
    for frame in (Frame(snapshot), Frame(snapshot, scenes.WELL)):
        line = encode(frame)
        assert decode(line) == frame
        assert parse_tag(line) == Tag(frame.at_ms, is_frame=True)
        assert line.isascii()
        assert line.endswith(b"\n")


def test_a_gap_has_a_reason() -> None:
    line = encode(Gap(7, "Redis at x cannot be used"))
    assert json.loads(line) == {"t": 7, "gap": "Redis at x cannot be used"}
    assert parse_tag(line) == Tag(7, is_frame=False)
    assert decode(line) == Gap(7, "Redis at x cannot be used")


def test_a_header_has_the_queue_and_the_version() -> None:
    header = Header("lessons", 2.5)
    assert parse_header(encode_header(header)) == header
    with pytest.raises(UnsupportedVersion) as caught:
        parse_header(encode_header(header).replace(b'"version":1', b'"version":2'))
    assert caught.value.version == 2


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"[1]",
        b"{}",
        b'{"previewops":"recording","version":"1"}',
        b'{"previewops":"recording","version":1,"queue":1,"interval_s":1}',
        b'{"previewops":"recording","version":1,"queue":"q","interval_s":0}',
        b'{"previewops":"recording","version":1,"queue":"q","interval_s":NaN}',
        b'{"previewops":"recording","version":1,"queue":"q"}',
        b"[" * 100_000,
    ],
)
def test_other_first_lines_are_not_headers(line: bytes) -> None:
    with pytest.raises(NotARecordingLine):
        parse_header(line)


def line_with(*changes: tuple[str, Any]) -> bytes:
    """Returns the line of a frame with values replaced: ("workers.0.pid", 7); ``...`` removes one."""
    fields: dict[str, Any] = json.loads(encode(BUSY))
    for path, value in changes:
        *parents, name = path.split(".")
        parent: Any = fields
        for part in parents:
            parent = parent[int(part)] if isinstance(parent, list) else parent[part]
        if value is ...:
            del parent[name]
        else:
            parent[name] = value
    return json.dumps(fields, separators=(",", ":")).encode()


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("snapshot.dead", "3", "Expected `int`, got `str` - at `$.snapshot.dead`"),
        ("snapshot.dead", 99999999999999999999, "'$.snapshot.dead'"),
        ("snapshot.workers.0.cpu", float("inf"), "inf is out of range - at '$.snapshot.workers[0].cpu'"),
        (
            "snapshot.workers.0.heartbeat_ms",
            -5,
            "-5 is out of range - at '$.snapshot.workers[0].heartbeat_ms'",
        ),
        ("snapshot.workers", {}, "Expected `array`, got `object` - at `$.snapshot.workers`"),
        ("snapshot.waiting", {"urgent": 1}, "'urgent'"),
        ("snapshot.buckets.0.width_ms", 0, "bucket of 0 ms"),
        ("snapshot.buckets.0.wait", [1], "Expected `object`, got `array` - at `$.snapshot.buckets[0].wait`"),
        ("snapshot.buckets.0.wait", {"x": 1}, "Expected `int`, got `str`"),
        ("snapshot.buckets.0.wait", {"-1": 1}, "bin -1"),
        ("snapshot.buckets.0.wait", {"257": 1}, "bin 257"),
        ("snapshot.minutes.0.run", {"3": -1}, "-1 in bin 3"),
        ("snapshot.history_s", -1000000000000, "-1000000000000 s"),
        ("snapshot.history_s", 3601, "3601 s"),
        ("snapshot.history_min", -1, "-1 min"),
        ("snapshot.now_ms", 5, "found the time 5"),
        (
            "snapshot.supervisors.0.state",
            ...,
            "missing required field `state` - at `$.snapshot.supervisors[0]`",
        ),
        ("health.checks.0.status", 7, "7 - at `$.health.checks[0].status`"),
        ("snapshot.paused", 1, "Expected `bool`, got `int` - at `$.snapshot.paused`"),
    ],
)
def test_an_invalid_value_is_reported_with_its_path(path: str, value: Any, message: str) -> None:
    with pytest.raises(InvalidLine) as caught:
        decode(line_with((path, value)))
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b'{"t":1,"gap":5}', "at `$.gap`"),
        (b'{"t":1,"snapshot":{}}', "missing required field"),
        (b'{"t":1,"snapshot":', "which is not JSON"),
        (b'{"t":1,"snapshot":' + b"[" * 5_000, "which is not JSON"),
        (b'{"t":1,"snapshot":1' + b" " * (9 << 20) + b"}", "allowed 8,388,608"),
        (b'{"t":99999999999999999,"snapshot":{}}', "allowed is an object with a time"),
        (b'{"t":1,"x":{}}', "allowed is an object with a time"),
    ],
)
def test_an_invalid_line_is_reported(line: bytes, message: str) -> None:
    with pytest.raises(InvalidLine) as caught:
        decode(line)
    assert message in str(caught.value)


def test_numbers_that_a_reader_rejects_are_not_written() -> None:
    worker = replace(scenes.WORKERS[0], pid=10**30, started_ms=-4, cpu=float("nan"), clock_ahead_ms=-7)
    entry = decode(encode(Frame(replace(scenes.BUSY, workers=(worker,)))))
    assert isinstance(entry, Frame)
    (worker,) = entry.snapshot.workers
    assert (worker.pid, worker.started_ms, worker.cpu, worker.clock_ahead_ms) == (2**63 - 1, 0, 0.0, -7)
