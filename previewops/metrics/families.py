"""Metric families of one queue. Each has the label ``queue``, so that one Prometheus can hold several queues."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

from previewops.snapshot.histogram import BINS_PER_OCTAVE, bin_middle_ms

Samples = float | Mapping[Any, float]
"""One value, or values by the label (a string) or labels (a tuple of them) after ``queue``."""

_Label = TypeVar("_Label", bound=str)
_Family = TypeVar("_Family", CounterMetricFamily, GaugeMetricFamily)


@dataclass(frozen=True, slots=True)
class FamilyBuilder:
    """Builds the metric families of ``queue``."""

    queue: str

    def gauge(self, name: str, text: str, samples: Samples, *labels: str) -> GaugeMetricFamily:
        return self._fill(GaugeMetricFamily(name, text, labels=("queue", *labels)), samples)

    def counter(self, name: str, text: str, samples: Samples, *labels: str) -> CounterMetricFamily:
        """Builds a counter, which grows as long as Redis keeps its data. ``name`` is without ``_total``."""
        return self._fill(CounterMetricFamily(name, text, labels=("queue", *labels)), samples)

    def histogram(
        self,
        name: str,
        text: str,
        bins: Mapping[_Label, Mapping[int, int]],
        octaves: range,
        *,
        unit_ms: int = 1000,
        label: str = "priority",
    ) -> HistogramMetricFamily:
        """Builds a histogram from the bins of ``snapshot.histogram``, with a bound at 2^n ms per octave n.

        Bounds and sum are in units of ``unit_ms``: seconds by default.

        These bounds are also bounds of the bins, so the counts are exact. The sum uses the middles of the bins.
        """
        family = HistogramMetricFamily(name, text, labels=("queue", label))
        for value, counts in bins.items():
            buckets = [(f"{2**n / unit_ms}", float(_count_below(counts, n))) for n in octaves]
            buckets.append(("+Inf", float(sum(counts.values()))))
            total_s = sum(bin_middle_ms(number) * count for number, count in counts.items()) / unit_ms
            family.add_metric((self.queue, str(value)), buckets, sum_value=total_s)
        return family

    def _fill(self, family: _Family, samples: Samples) -> _Family:
        by_labels: Mapping[Any, float] = samples if isinstance(samples, Mapping) else {(): samples}
        for key in by_labels:
            labels: tuple[str, ...] = (key,) if isinstance(key, str) else key
            family.add_metric((self.queue, *labels), by_labels[key])
        return family


def _count_below(counts: Mapping[int, int], octave: int) -> int:
    last = octave * BINS_PER_OCTAVE
    return sum(count for number, count in counts.items() if number <= last)
