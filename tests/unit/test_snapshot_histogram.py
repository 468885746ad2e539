"""Histograms: percentiles within 9 %, lossless sums."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from previewops.snapshot.histogram import (
    bin_middle_ms,
    bin_number,
    merge_histograms,
    parse_bins,
    percentile_ms,
)

durations = st.lists(st.floats(1.0, 1e9), min_size=1, max_size=200)
histograms = st.dictionaries(st.integers(0, 120), st.integers(1, 1_000), max_size=20)


def counted(values: list[float]) -> dict[int, int]:
    histogram: dict[int, int] = {}
    for value in values:
        histogram[bin_number(value)] = histogram.get(bin_number(value), 0) + 1
    return histogram


@given(values=durations, fraction=st.floats(0.0, 1.0))
def test_percentile_error_is_at_most_nine_percent(values: list[float], fraction: float) -> None:
    estimate = percentile_ms(counted(values), fraction)
    true = sorted(values)[max(1, math.ceil(fraction * len(values))) - 1]
    assert estimate is not None
    assert true / 1.0906 <= estimate <= true * 1.0906


@given(ms=st.floats(1.0, 1e12))
def test_value_lies_within_its_bin(ms: float) -> None:
    half_a_bin = 2 ** (1 / 8) * (1 + 1e-9)
    assert ms / half_a_bin <= bin_middle_ms(bin_number(ms)) <= ms * half_a_bin


@given(histogram=histograms)
def test_percentiles_increase_with_the_fraction(histogram: dict[int, int]) -> None:
    percentiles = [percentile_ms(histogram, n / 20) for n in range(21)]
    if not histogram:
        assert set(percentiles) == {None}
        return
    assert percentiles == sorted(percentiles, key=lambda value: value or 0.0)
    assert (percentiles[0], percentiles[-1]) == (bin_middle_ms(min(histogram)), bin_middle_ms(max(histogram)))


@given(parts=st.lists(histograms, max_size=5))
def test_merge_keeps_all_counts(parts: list[dict[int, int]]) -> None:
    total = merge_histograms(parts)
    assert sum(total.values()) == sum(sum(part.values()) for part in parts)
    assert set(total) == {number for part in parts for number in part}


def test_bin_zero_reads_as_half_a_millisecond() -> None:
    assert percentile_ms({0: 10}, 0.99) == 0.5


def test_empty_histogram_has_no_percentile() -> None:
    assert percentile_ms({}, 0.5) is None


def test_known_percentiles() -> None:
    histogram = counted([10.0] * 90 + [1000.0] * 10)
    for fraction, true in ((0.5, 10.0), (0.9, 10.0), (0.91, 1000.0), (0.99, 1000.0)):
        estimate = percentile_ms(histogram, fraction)
        assert estimate is not None
        assert true / 1.1 <= estimate <= true * 1.1


def test_parse_bins_skips_other_series_and_counters() -> None:
    fields = {"w0": 1, "w12": 2, "r3": 4, "worker": 8, "w": 16, "retried": 32, "accepted": 64, "w257": 1}
    assert parse_bins(fields, "w") == {0: 1, 12: 2}
    assert parse_bins(fields, "r") == {3: 4}
