"""Families of one queue. The queue is a label of each, so that one Prometheus can hold several apart."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

from previewops.snapshot.histogram import BINS_PER_OCTAVE, bin_middle_ms

Rows = Iterable[tuple[tuple[str, ...], float]]
"""The values of the labels after the queue, and the figure."""


def gauge(name: str, text: str, queue: str, rows: Rows, labels: tuple[str, ...] = ()) -> GaugeMetricFamily:
    """A figure that goes up and down."""
    family = GaugeMetricFamily(name, text, labels=("queue", *labels))
    for values, figure in rows:
        family.add_metric((queue, *values), figure)
    return family


def counter(
    name: str, text: str, queue: str, rows: Rows, labels: tuple[str, ...] = ()
) -> CounterMetricFamily:
    """A figure that only grows, as long as Redis keeps its data. ``name`` is without ``_total``."""
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
    """Times in seconds from the bins of ``snapshot.histogram``, with a bound at 2^n ms for each n of ``octaves``.

    These bounds are bounds of bins, so the counts are exact. The sum is made of the bins' middles.
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
