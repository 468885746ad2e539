"""The format of a recording: nothing is left out of it, it is short, and what does not fit says where and what."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from typing import Any

import pytest

from previewops.recording import forms
from previewops.recording.format import (
    Decoder,
    Encoder,
    Frame,
    Gap,
    Header,
    InvalidLine,
    NotARecordingLine,
    Tag,
    UnsupportedVersion,
    heading_line,
    parse_header,
    tag_of,
)
from previewops.recording.patch import MOST_ITEMS, applied, difference
from previewops.recording.plain import Form
from previewops.snapshot.model import Snapshot
from tests.recording_support import SimulatedQueue
from tests.tui import scenes

BUSY = Frame(scenes.BUSY, scenes.HEALTH)


@pytest.mark.parametrize("form", forms.EVERY_FORM, ids=lambda form: form.made.__name__)
def test_every_field_is_recorded_under_a_key_of_its_own(form: Form[Any]) -> None:
    assert isinstance(form.made, type)
    declared = {field.name for field in fields(form.made)} - {"now_ms"}
    assert set(form.fields) == declared
    keys = [key for key, _ in form.fields.values()]
    assert len(set(keys)) == len(keys)


@pytest.mark.parametrize("scene", ["BUSY", "IDLE", "EMPTY", "PAUSED"])
def test_the_scenes_come_back_as_they_were(scene: str) -> None:
    snapshot: Snapshot = getattr(scenes, scene)
    encoder, decoder = Encoder(), Decoder()
    for look in (BUSY, Frame(snapshot), Frame(snapshot, scenes.WELL)):
        assert decoder.decode(encoder.encode(look)) == look


def test_only_what_has_changed_is_written() -> None:
    encoder = Encoder()
    whole = encoder.encode(BUSY)
    later = replace(scenes.BUSY, now_ms=scenes.NOW_MS + 1_000, dead=83)
    line = encoder.encode(Frame(later, scenes.HEALTH))
    assert json.loads(line) == {"t": scenes.NOW_MS + 1_000, "d": {"s": {"d": 83}}}
    assert len(whole) > 100 * len(line)


def test_each_line_is_a_change_of_the_whole_one_and_of_no_other() -> None:
    encoder, decoder = Encoder(), Decoder()
    hours = SimulatedQueue()
    lines = [encoder.encode(hours.take_frame(full_history=True))]
    seen = []
    for _ in range(30):
        hours.advance()
        seen.append(hours.take_frame())
        lines.append(encoder.encode(seen[-1]))
    decoder.decode(lines[0])
    for place in (29, 3, 17, 0):
        assert decoder.decode(lines[place + 1]) == seen[place]


def test_a_worker_that_changes_is_not_written_whole() -> None:
    workers = [replace(worker, heartbeat_ms=worker.heartbeat_ms + 1_000) for worker in scenes.WORKERS]
    old = forms.SNAPSHOT.put(scenes.BUSY)
    new = forms.SNAPSHOT.put(replace(scenes.BUSY, workers=tuple(reversed(workers))))
    patch = difference(old, new)
    assert [move[0] for move in patch["p"]["W"]] == [3, 2, 1, 0]
    assert all(set(move[1]) == {"s"} and set(move[1]["s"]) == {"t"} for move in patch["p"]["W"])


def test_a_gap_says_why() -> None:
    line = Encoder().encode(Gap(7, "Redis at x cannot be used"))
    assert json.loads(line) == {"t": 7, "g": "Redis at x cannot be used"}
    assert tag_of(line) == Tag(7, "g")
    assert not tag_of(line).is_look


def test_a_heading_says_whose_it_is() -> None:
    heading = Header("lessons", 2.5)
    assert parse_header(heading_line(heading)) == heading
    with pytest.raises(UnsupportedVersion, match="of version 2; up to 1 is read") as caught:
        parse_header(heading_line(heading).replace(b'"version":1', b'"version":2'))
    assert caught.value.version == 2


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"[1]",
        b"{}",
        b'{"previewops":"recording","version":"1"}',
        b'{"previewops":"recording","version":1,"queue":1,"every":1}',
        b'{"previewops":"recording","version":1,"queue":"q","every":0}',
        b'{"previewops":"recording","version":1,"queue":"q","every":NaN}',
        b"[" * 100_000,
    ],
)
def test_other_headings_are_foreign(line: bytes) -> None:
    with pytest.raises(NotARecordingLine):
        parse_header(line)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (b'{"t":1,"f":{"d":"3"}}', "d is '3', not a whole number of 64 bits"),
        (b'{"t":1,"f":{"d":99999999999999999999}}', "not a whole number"),
        (b'{"t":1,"f":{"W":[{"i":"w","u":1e999}]}}', "W.u is inf, not a number"),
        (b'{"t":1,"f":{"W":[{"i":"w","t":-5}]}}', "W.t is -5, not a time in ms"),
        (b'{"t":1,"f":{"W":{}}}', "W is {}, not a list"),
        (b'{"t":1,"f":{"w":{"urgent":1}}}', "w is 'urgent', not a priority"),
        (b'{"t":1,"f":{"B":[{"u":0}]}}', "B.u is 0, not the width of a bucket"),
        (b'{"t":1,"f":{"B":[{"w":[1]}]}}', "not a list of bins and counts"),
        (b'{"t":1,"f":{"B":[{"w":[-1,1]}]}}', "B.w is -1, not a whole number from 0 to 256"),
        (b'{"t":1,"f":{"B":[{"w":[257,1]}]}}', "B.w is 257, not a whole number from 0 to 256"),
        (b'{"t":1,"f":{"M":[{"r":[3,-1]}]}}', "M.r is -1, not a whole number from 0 to"),
        (b'{"t":1,"f":{"bs":-1000000000000}}', "bs is -1000000000000, not a whole number from 0 to 3,600"),
        (b'{"t":1,"f":{"bs":3601}}', "bs is 3601, not a whole number"),
        (b'{"t":1,"f":{"bm":-1}}', "bm is -1, not a whole number from 0 to 1,440"),
        (b'{"t":1,"f":{"S":[{"i":"s"}]}}', "S.s is missing, not there"),
        (b'{"t":1,"f":{"H":{"c":[{"s":7}]}}}', "c.s is 7, not a status"),
        (b'{"t":1,"f":{"p":1}}', "p is 1, not true or false"),
        (b'{"t":1,"d":{}}', "there is no whole look before it"),
        (b'{"t":1,"g":5}', "the reason of the gap is '5'"),
        (b'{"t":1,"f":', "which is no JSON"),
        (b'{"t":99999999999999999,"f":{}}', "and not with a time"),
        (b'{"t":1,"x":{}}', "and not with a time"),
    ],
)
def test_what_does_not_fit_says_where_and_what(line: bytes, words: str) -> None:
    with pytest.raises(InvalidLine) as caught:
        Decoder().decode(line)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("patch", "words"),
    [
        ([], "a list cannot change a dict"),
        ({"s": []}, "not made of objects"),
        ({"p": {"z": {}}}, "changes 'z', which is not there"),
        ({"r": ["z"]}, "takes away 'z'"),
        ({"p": {"a": [[0, 3]]}}, "no patch and no count"),
        ({"p": {"a": [[2, 1]]}}, "has no item 2"),
        ({"p": {"a": [[True, 1]]}}, "has no item True"),
        ({"p": {"a": [7]}}, "7 moves no item"),
        ({"p": {"a": [[0, 2]] * MOST_ITEMS}}, "grows beyond"),
    ],
)
def test_a_patch_that_does_not_fit_says_what(patch: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words.replace("(", r"\(")):
        applied({"a": [{"i": 1}, {"i": 2}]}, patch)


def test_what_no_reader_would_take_is_not_written() -> None:
    strange = replace(scenes.WORKERS[0], pid=10**30, started_ms=-4, cpu=float("nan"))
    line = Encoder().encode(Frame(replace(scenes.BUSY, workers=(strange,), history_s=2**40, history_min=-1)))
    found = Decoder().decode(line)
    assert isinstance(found, Frame)
    (worker,) = found.snapshot.workers
    assert (found.snapshot.history_s, found.snapshot.history_min) == (3_600, 0)
    assert (worker.pid, worker.started_ms, worker.cpu) == (2**63 - 1, 0, 0.0)
