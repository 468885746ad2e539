"""Latency histograms with logarithmic bins, as the Lua scripts count them (lua/include/counters.lua).

Bin 0 is below 1 ms. Bin b ≥ 1 covers [2^((b-1)/4), 2^(b/4)) ms, a quarter of an octave, so percentiles are
accurate to ±9 %.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import TypeVar

Key = TypeVar("Key", int, str)

BINS_PER_OCTAVE = 4

MAX_BIN = 256
"""Upper bin: it ends at 2^64 ms. Readers reject higher numbers."""


def bin_middle_ms(bin_number: int) -> float:
    """Returns the geometric middle of a bin in ms (0.5 for the bin below 1 ms)."""
    if bin_number == 0:
        return 0.5
    return float(2.0 ** ((bin_number - 0.5) / BINS_PER_OCTAVE))


def bin_number(ms: float) -> int:
    """Returns the bin of a duration in ms."""
    return 0 if ms < 1 else min(MAX_BIN, math.floor(BINS_PER_OCTAVE * math.log2(ms)) + 1)


def parse_bins(fields: Mapping[str, int], series: str) -> dict[int, int]:
    """Returns the bins of one series (``w`` wait, ``r`` run) from a bucket's fields."""
    bins = ((name.removeprefix(series), count) for name, count in fields.items() if name.startswith(series))
    return {int(digits): count for digits, count in bins if digits.isdigit() and int(digits) <= MAX_BIN}


def merge_histograms(histograms: Iterable[Mapping[Key, int]]) -> dict[Key, int]:
    """Returns the sum of several histograms, or of counts by name."""
    total: dict[Key, int] = {}
    for histogram in histograms:
        for key, count in histogram.items():
            total[key] = total.get(key, 0) + count
    return total


def percentile_ms(histogram: Mapping[int, int], fraction: float) -> float | None:
    """Returns the value in ms below which ``fraction`` (0..1) of the observations lie; None without observations."""
    total = sum(histogram.values())
    if total == 0:
        return None
    rank = max(1.0, fraction * total)
    seen = 0
    for bin_number in sorted(histogram):
        seen += histogram[bin_number]
        if seen >= rank:
            return bin_middle_ms(bin_number)
    return bin_middle_ms(max(histogram))
