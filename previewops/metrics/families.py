"""Metric families of one queue. Each has the label ``queue``, so that one Prometheus can hold several queues."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

from previewops.snapshot.histogram import BINS_PER_OCTAVE, bin_middle_ms

Rows = Iterable[tuple[tuple[str, ...], float]]
"""Values of the labels after ``queue``, and the sample."""


def gauge(name: str, text: str, queue: str, rows: Rows, labels: tuple[str, ...] = ()) -> GaugeMetricFamily:
    """Builds a gauge."""
    family = GaugeMetricFamily(name, text, labels=("queue", *labels))
    for values, figure in rows:
        family.add_metric((queue, *values), figure)
    return family


def counter(
    name: str, text: str, queue: str, rows: Rows, labels: tuple[str, ...] = ()
) -> CounterMetricFamily:
    """Builds a counter, which grows as long as Redis keeps its data. ``name`` is without ``_total``."""
    family = CounterMetricFamily(name, text, labels=("queue", *labels))
    for values, figure in rows:
        family.add_metric((queue, *values), figure)
    return family


def histogram(
    name: str,
    text: str,
    queue: str,
    rows: Iterable[tuple[tuple[str, ...], Mapping[int, int]]],
    *,
    labels: tuple[str, ...],
    octaves: range,
) -> HistogramMetricFamily:
    """Builds a histogram in seconds from the bins of ``snapshot.histogram``, with a bound at 2^n ms per octave n.

    These bounds are also bounds of the bins, so the counts are exact. The sum uses the middles of the bins.
    """
    family = HistogramMetricFamily(name, text, labels=("queue", *labels))
    for values, bins in rows:
        buckets = [(f"{2**n / 1000}", float(_below(bins, n))) for n in octaves]
        buckets.append(("+Inf", float(sum(bins.values()))))
        total_s = sum(bin_middle_ms(bin_number) * count for bin_number, count in bins.items()) / 1000
        family.add_metric((queue, *values), buckets, sum_value=total_s)
    return family


def _below(bins: Mapping[int, int], octave: int) -> int:
    last = octave * BINS_PER_OCTAVE
    return sum(count for bin_number, count in bins.items() if bin_number <= last)
