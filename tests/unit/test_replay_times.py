"""Moving in a recording: typed times, and the index of alarms."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from previewops.health import Health, Status
from previewops.recording import alarm_index
from previewops.recording.alarm_index import UNAVAILABLE, AlarmIndex
from previewops.recording.format import Frame, encode
from previewops.recording.reader import Interval
from previewops.snapshot.silences import Silence
from previewops.tui.data.replay.playhead import Timeline
from previewops.tui.viewmodel.replay_times import NotATime, format_change, format_range, parse_replay_time
from tests.tui import scenes


def at(text: str) -> int:
    """Ms of a time in UTC: "2026-11-28 03:12:00"."""
    return round(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1_000)


NIGHT = (
    Interval(at("2026-11-27 22:00:00"), at("2026-11-28 02:00:00")),
    Interval(at("2026-11-28 03:00:00"), at("2026-11-28 06:00:00")),
)


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("03:12", "2026-11-28 03:12:00"),
        ("3:12:30", "2026-11-28 03:12:30"),
        ("23:00", "2026-11-27 23:00:00"),
        ("2026-11-27 23:15", "2026-11-27 23:15:00"),
        ("2026-11-28T01:02:03", "2026-11-28 01:02:03"),
        ("11-28 04:00", "2026-11-28 04:00:00"),
        ("2026-11-28", "2026-11-28 00:00:00"),
        ("+5m", "2026-11-28 01:05:00"),
        ("-90s", "2026-11-28 00:58:30"),
        ("+1h 30 min", "2026-11-28 02:30:00"),
        ("-30", "2026-11-28 00:59:30"),
        ("+9h", "2026-11-28 06:00:00"),
        ("-2d", "2026-11-27 22:00:00"),
        (" 02:30 ", "2026-11-28 02:30:00"),
    ],
)
def test_a_typed_time(text: str, meant: str) -> None:
    now = at("2026-11-28 01:00:00")
    assert parse_replay_time(text, now_ms=now, recorded=NIGHT, local=False) == at(meant)


def test_a_time_of_day_is_the_nearest_that_is_recorded() -> None:
    days = (Interval(at("2026-11-26 00:00:00"), at("2026-11-29 00:00:00")),)
    for now, meant in (
        ("2026-11-26 05:00:00", "2026-11-26 03:12:00"),
        ("2026-11-28 02:00:00", "2026-11-28 03:12:00"),
    ):
        assert parse_replay_time("03:12", now_ms=at(now), recorded=days, local=False) == at(meant)


@pytest.mark.parametrize(
    "text", ["", "x", "25:00", "02-30 03:00", "+", "5m", "12", "03:12:99", "+5y", "1:2", "9" * 400]
)
def test_what_is_no_time_is_reported_with_examples(text: str) -> None:
    with pytest.raises(NotATime, match="03:12"):
        parse_replay_time(text, now_ms=at("2026-11-28 01:00:00"), recorded=NIGHT, local=False)


def test_a_time_outside_the_recording_is_reported_with_its_range() -> None:
    with pytest.raises(NotATime, match="2026-11-27 22:00:00 to 2026-11-28 06:00:00 UTC"):
        parse_replay_time("12:00", now_ms=NIGHT[0].start_ms, recorded=NIGHT, local=False)
    assert format_range(NIGHT[1:], local=False) == "2026-11-28 03:00:00 to 06:00:00 UTC"


@pytest.fixture
def tokyo() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TZ", "TST-9")
        time.tzset()
        yield
    time.tzset()


def test_local_times_are_those_of_the_terminal(tokyo: None) -> None:
    for text in ("12:12", "2026-11-28 12:12"):
        meant = parse_replay_time(text, now_ms=NIGHT[1].start_ms, recorded=NIGHT, local=True)
        assert meant == at("2026-11-28 03:12:00")
    assert format_range(NIGHT[1:], local=True) == "2026-11-28 12:00:00 to 15:00:00 TST"


def test_positions_and_times_agree_and_gaps_lead_to_their_end() -> None:
    timeline = Timeline(NIGHT)
    for position in (0, 1_000, 3_600_000 * 4 - 1, 3_600_000 * 5, timeline.duration_ms):
        assert timeline.position_ms(timeline.server_time_ms(position)) == position
    assert timeline.position_ms(at("2026-11-28 02:30:00")) == 4 * 3_600_000
    assert timeline.position_ms(0) == 0
    assert timeline.position_ms(NIGHT[1].end_ms + 5) == timeline.duration_ms


# -- alarms ---------------------------------------------------------------------------------------------


def frame_line(at_ms: int, **statuses: Status) -> bytes:
    """The line of a frame whose checks have these statuses; others are OK."""
    checks = tuple(
        replace(check, status=statuses.get(check.name.replace("-", "_"), Status.OK), silence=None)
        for check in scenes.HEALTH.checks
    )
    return encode(Frame(replace(scenes.BUSY, now_ms=at_ms), Health(checks))).rstrip()


def names() -> list[str]:
    return [check.name.replace("-", "_") for check in scenes.HEALTH.checks][:3]


def test_changes_of_health_are_found_with_what_began_and_ended() -> None:
    first, second, _ = names()
    index = AlarmIndex()
    warning, critical = Status.WARNING, Status.CRITICAL
    for at_ms, statuses in (
        (1_000, {}),
        (2_000, {first: warning}),
        (3_000, {first: warning}),
        (4_000, {first: critical, second: warning}),
        (5_000, {second: warning}),
        (6_000, {}),
    ):
        index.add_frame(at_ms, frame_line(at_ms, **statuses))
    one, two = first.replace("_", "-"), second.replace("_", "-")
    assert [(change.at_ms, change.began, change.ended) for change in index.changes] == [
        (2_000, (one,), ()),
        (4_000, (one, two), ()),
        (5_000, (), (one,)),
        (6_000, (), (two,)),
    ]
    assert [index.next_after(at_ms).at_ms for at_ms in (0, 2_000, 4_500)] == [2_000, 4_000, 5_000]
    assert [index.last_before(at_ms).at_ms for at_ms in (9_000, 6_000, 2_001)] == [6_000, 5_000, 2_000]
    assert index.next_after(6_000) is None
    assert index.last_before(2_000) is None
    title, text = format_change(index.changes[1], 2, 4, local=False)
    assert title == "00:00:04, alarm 2 of 4"
    assert text == f"CRITICAL: {one}\nWARNING: {two}"


def test_gaps_are_alarms_and_silenced_checks_are_none() -> None:
    first, *_ = names()
    index = AlarmIndex()
    index.add_frame(1_000, frame_line(1_000))
    index.add_gap(2_000)
    index.add_gap(3_000)
    index.add_frame(4_000, frame_line(4_000))
    assert [(change.at_ms, change.began, change.ended) for change in index.changes] == [
        (2_000, (UNAVAILABLE,), ()),
        (4_000, (), (UNAVAILABLE,)),
    ]
    silence = Silence(first.replace("_", "-"), 99_000, "critical", "ada", "known")
    checks = tuple(
        replace(check, status=Status.CRITICAL if check.name == silence.check else Status.OK, silence=silence)
        for check in scenes.HEALTH.checks
    )
    index.add_frame(5_000, encode(Frame(replace(scenes.BUSY, now_ms=5_000), Health(checks))).rstrip())
    assert len(index.changes) == 2


@pytest.mark.parametrize("health", [b"null", b"{", b'{"checks":3}', b"[" * 90_000, b'"health":{}', b""])
def test_a_damaged_health_changes_nothing(health: bytes) -> None:
    first, *_ = names()
    index = AlarmIndex()
    index.add_frame(1_000, frame_line(1_000, **{first: Status.WARNING}))
    index.add_frame(2_000, b'{"t":2000,"snapshot":{},"health":' + health + b"}")
    index.add_frame(3_000, frame_line(3_000, **{first: Status.WARNING}))
    assert [change.at_ms for change in index.changes] == [1_000]


def test_changes_are_limited_and_a_clock_set_back_keeps_their_order(monkeypatch: pytest.MonkeyPatch) -> None:
    first, *_ = names()
    monkeypatch.setattr(alarm_index, "MAX_CHANGES", 3)
    index = AlarmIndex()
    for number, at_ms in enumerate((1_000, 9_000, 5_000, 6_000)):
        index.add_frame(at_ms, frame_line(at_ms, **({first: Status.WARNING} if number % 2 == 0 else {})))
    assert [change.at_ms for change in index.changes] == [1_000, 9_000, 9_000]
    assert not index.complete
