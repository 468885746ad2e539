"""When the frames of a card that plays are shown."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from previewops.worker.render.pacing import Change, Moment, Pacing, pace, pace_together


def paced(times_ms: list[float], pacing: Pacing, length_ms: int) -> list[Moment[int]]:
    changes = [Change(round(at * 1_000), 0, number) for number, at in enumerate(times_ms)]
    return list(pace(changes, pacing, length_ms))


def starts(moments: list[Moment[int]]) -> list[tuple[int, int]]:
    return [(moment.start_ms, moment.frames[0]) for moment in moments]


def test_slow_and_irregular_changes_keep_their_times() -> None:
    moments = paced([0, 300, 333, 1_000.4], Pacing(fps=25), 1_200)
    assert starts(moments) == [(0, 0), (300, 1), (333, 2), (1_000, 3)]
    assert moments[-1].end_ms == 1_200


def test_a_source_of_the_same_rate_with_rounded_times_loses_no_frame() -> None:
    times = [round(number * 1000 / 12) for number in range(24)]
    assert [number for _, number in starts(paced(times, Pacing(fps=12), 2_000))] == list(range(24))


def test_a_faster_source_is_shown_at_the_frame_rate_and_never_late() -> None:
    times = [number * 1000 / 240 for number in range(480)]
    moments = paced(times, Pacing(fps=10), 2_000)
    assert 20 <= len(moments) <= 21
    for moment in moments[1:]:
        assert moment.frames[0] == max(n for n, at in enumerate(times) if round(at) <= moment.start_ms)


def test_a_dropped_frame_is_shown_later_if_no_other_follows() -> None:
    assert starts(paced([0, 10, 20, 900], Pacing(fps=10), 1_000)) == [(0, 0), (50, 2), (900, 3)]


def test_changes_at_one_time_are_shown_together_and_late_ones_are_not() -> None:
    changes = [Change(0, 0, "a"), Change(0, 1, "b"), Change(500_000, 1, "c"), Change(2_000_000, 0, "d")]
    moments = list(pace(changes, Pacing(fps=25), 1_000))
    assert [moment.frames for moment in moments] == [{0: "a", 1: "b"}, {1: "c"}]


@given(
    st.lists(st.integers(0, 3_000), max_size=60).map(sorted),
    st.sets(
        st.sampled_from([Pacing(5), Pacing(12), Pacing(25), Pacing(50, unit_ms=10, least_ms=20)]), min_size=1
    ),
)
def test_pacings_that_share_changes_show_what_each_shows_alone(
    times: list[int], pacings: set[Pacing]
) -> None:
    changes = [Change(at * 1_000, at % 2, number) for number, at in enumerate(times)]
    read = iter(changes)
    together: dict[Pacing, list[Moment[int]]] = {pacing: [] for pacing in pacings}
    for pacing, moment in pace_together(read, pacings, 2_000):
        together[pacing].append(moment)
    assert together == {pacing: list(pace(changes, pacing, 2_000)) for pacing in pacings}
    late = [change for change in changes if change.at_us >= 2_000_000]
    assert len(list(read)) == max(0, len(late) - 1), "read no further than the card lasts"


def test_frames_are_read_one_ahead() -> None:
    read = []

    def changes() -> Iterator[Change[int]]:
        for number in range(100):
            read.append(number)
            yield Change(number * 50_000, 0, number)

    for moment in pace(changes(), Pacing(fps=25), 5_000):
        assert len(read) <= moment.frames[0] + 3


@given(
    st.lists(st.integers(0, 3_000), max_size=60).map(sorted),
    st.integers(1, 60),
    st.sampled_from([(1, 1), (10, 20)]),
    st.integers(100, 2_500),
)
def test_moments_cover_the_card_without_a_gap(
    times: list[int], fps: int, units: tuple[int, int], length_ms: int
) -> None:
    unit_ms, least_ms = units
    moments = paced([0, *times], Pacing(fps, unit_ms, least_ms), length_ms)
    assert moments[0].start_ms == 0
    assert moments[-1].end_ms == length_ms
    for one, other in pairwise(moments):
        assert one.end_ms == other.start_ms
        assert one.end_ms - one.start_ms >= least_ms
        assert other.start_ms % unit_ms == 0 or least_ms == 20
    assert len(moments) <= fps * length_ms / 1_000 + 2
