"""The playhead: at any speed, paused, at both ends, and across gaps."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from previewops.recording.reader import Interval
from previewops.tui.data.replay.playhead import SPEEDS, Playhead, Timeline

TWO = (Interval(1_000_000, 1_060_000), Interval(9_000_000, 9_030_000))


class Watch:
    def __init__(self) -> None:
        self.seconds = 70.0

    def now_ms(self) -> int:
        raise AssertionError("the time of day is not used")

    def monotonic(self) -> float:
        return self.seconds


def playhead() -> tuple[Playhead, Watch]:
    watch = Watch()
    return Playhead(Timeline(TWO), watch), watch


def test_time_that_was_not_recorded_is_left_out() -> None:
    timeline = Timeline(TWO)
    assert timeline.duration_ms == 90_000
    assert [timeline.server_time_ms(into) for into in (0, 59_999, 60_000, 60_001, 90_000)] == [
        1_000_000,
        1_059_999,
        9_000_000,
        9_000_001,
        9_030_000,
    ]


@given(
    st.lists(st.integers(0, 10**6), min_size=2, max_size=12, unique=True).map(sorted), st.integers(0, 10**7)
)
def test_positions_map_to_recorded_times_in_order(times: list[int], into: int) -> None:
    stretches = [Interval(a, b) for a, b in zip(times[::2], times[1::2], strict=False)]
    timeline = Timeline(stretches)
    moment = timeline.server_time_ms(min(into, timeline.duration_ms))
    assert any(stretch.start_ms <= moment <= stretch.end_ms for stretch in stretches)
    assert timeline.server_time_ms(0) == stretches[0].start_ms
    assert timeline.server_time_ms(timeline.duration_ms) == stretches[-1].end_ms
    places = [timeline.server_time_ms(timeline.duration_ms * step // 7) for step in range(8)]
    assert places == sorted(places)


def test_it_plays_from_the_start_to_the_end() -> None:
    head, watch = playhead()
    assert (head.position_ms, head.server_time_ms, head.speed) == (0, 1_000_000, 1.0)
    watch.seconds += 61
    assert (head.position_ms, head.server_time_ms) == (61_000, 9_001_000)
    watch.seconds += 500
    assert (head.position_ms, head.server_time_ms) == (90_000, 9_030_000)


def test_a_change_of_speed_does_not_move_it() -> None:
    head, watch = playhead()
    watch.seconds += 10
    head.change_speed(1)
    assert (head.position_ms, head.speed) == (10_000, 2.0)
    watch.seconds += 10
    assert head.position_ms == 30_000
    for _ in range(20):
        head.change_speed(-1)
    assert (head.position_ms, head.speed) == (30_000, 0.5)
    watch.seconds += 10
    assert head.position_ms == 35_000
    for _ in range(20):
        head.change_speed(1)
    assert head.speed == SPEEDS[-1] == 60.0


def test_held_it_stands_and_can_still_be_moved() -> None:
    head, watch = playhead()
    watch.seconds += 5
    head.toggle_pause()
    watch.seconds += 1_000
    assert head.position_ms == 5_000
    head.seek_by(10_000)
    assert head.position_ms == 15_000
    head.change_speed(1)
    head.toggle_pause()
    watch.seconds += 1
    assert head.position_ms == 17_000


@pytest.mark.parametrize(("by", "lands"), [(-10_000, 0), (10_000, 15_000), (300_000, 90_000)])
def test_it_stays_within_the_recording(by: int, lands: int) -> None:
    head, watch = playhead()
    watch.seconds += 5
    head.seek_by(by)
    assert head.position_ms == lands
    watch.seconds += 1_000
    assert head.position_ms == 90_000
    head.seek_by(-10_000)
    assert head.position_ms == 80_000, "from the end one comes back"
