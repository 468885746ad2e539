"""Histograms: percentiles within 9 %, lossless sums."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from previewops.snapshot.histogram import bin_middle_ms, merge_histograms, parse_bins, percentile_ms

durations = st.lists(st.floats(1.0, 1e9), min_size=1, max_size=200)
histograms = st.dictionaries(st.integers(0, 120), st.integers(1, 1_000), max_size=20)


def bin_of(ms: float) -> int:
    """Returns the bin that the Lua script uses for a duration (lua/include/counters.lua)."""
    return 0 if ms < 1 else math.floor(math.log(ms) / (math.log(2) / 4)) + 1


def counted(values: list[float]) -> dict[int, int]:
    histogram: dict[int, int] = {}
    for value in values:
        histogram[bin_of(value)] = histogram.get(bin_of(value), 0) + 1
    return histogram


@given(values=durations, fraction=st.floats(0.0, 1.0))
def test_a_percentile_is_off_by_nine_per_cent_at_most(values: list[float], fraction: float) -> None:
    found = percentile_ms(counted(values), fraction)
    true = sorted(values)[max(1, math.ceil(fraction * len(values))) - 1]
    assert found is not None
    assert true / 1.0906 <= found <= true * 1.0906


@given(ms=st.floats(1.0, 1e12))
def test_a_bin_holds_what_is_counted_in_it(ms: float) -> None:
    half_a_bin = 2 ** (1 / 8) * (1 + 1e-9)
    assert ms / half_a_bin <= bin_middle_ms(bin_of(ms)) <= ms * half_a_bin


@given(histogram=histograms)
def test_percentiles_grow_with_the_fraction(histogram: dict[int, int]) -> None:
    found = [percentile_ms(histogram, n / 20) for n in range(21)]
    if not histogram:
        assert set(found) == {None}
        return
    assert found == sorted(found, key=lambda value: value or 0.0)
    assert (found[0], found[-1]) == (bin_middle_ms(min(histogram)), bin_middle_ms(max(histogram)))


@given(parts=st.lists(histograms, max_size=5))
def test_a_sum_loses_nothing(parts: list[dict[int, int]]) -> None:
    total = merge_histograms(parts)
    assert sum(total.values()) == sum(sum(part.values()) for part in parts)
    assert set(total) == {number for part in parts for number in part}


def test_less_than_a_millisecond_is_half_of_one() -> None:
    assert percentile_ms({0: 10}, 0.99) == 0.5


def test_no_observations_have_no_percentile() -> None:
    assert percentile_ms({}, 0.5) is None


def test_known_figures() -> None:
    histogram = counted([10.0] * 90 + [1000.0] * 10)
    for fraction, true in ((0.5, 10.0), (0.9, 10.0), (0.91, 1000.0), (0.99, 1000.0)):
        found = percentile_ms(histogram, fraction)
        assert found is not None
        assert true / 1.1 <= found <= true * 1.1


def test_fields_of_one_series_are_told_from_others_and_from_counters() -> None:
    fields = {"w0": 1, "w12": 2, "r3": 4, "worker": 8, "w": 16, "retried": 32, "accepted": 64}
    assert parse_bins(fields, "w") == {0: 1, 12: 2}
    assert parse_bins(fields, "r") == {3: 4}
