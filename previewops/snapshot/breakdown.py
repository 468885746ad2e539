"""Ended jobs by project, output format or priority over the last hour. Pure.

The scripts count in buckets of 5 min (lua/include/breakdown.lua): exactly by priority and format, and by project for
the ``MAX_PROJECTS`` busiest of a bucket. The jobs of the other projects are what remains.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from previewops.clock import iso_from_ms
from previewops.queue.output_formats import OUTPUT_FORMATS
from previewops.snapshot.histogram import merge_histograms, percentile_ms
from previewops.states import Priority

BREAKDOWN_MS = 300_000
"""Width of a bucket."""

BREAKDOWN_BUCKETS = 13
"""Buckets of the window: the current one and an hour before it."""

MAX_PROJECTS = 50
"""Projects of which a bucket has figures, and rows of a breakdown by project."""

PERCENTILES = (50, 95)


class Dimension(StrEnum):
    """What a breakdown groups by."""

    PROJECT = "project"
    FORMAT = "format"
    PRIORITY = "priority"


@dataclass(frozen=True, slots=True)
class Figures:
    """What became of some jobs.

    ``dead`` counts jobs that became dead letters, ``retried`` failures that were retried. ``wait`` is the histogram
    of the last wait of completed and dead jobs, ``run`` that of the run time of completed ones.
    """

    dead: int = 0
    retried: int = 0
    wait: Mapping[int, int] = field(default_factory=dict)
    run: Mapping[int, int] = field(default_factory=dict)

    @property
    def completed(self) -> int:
        """Completed jobs."""
        return sum(self.run.values())

    @property
    def ended(self) -> int:
        """Jobs that completed or became dead letters."""
        return self.completed + self.dead

    @property
    def failure_rate(self) -> float | None:
        """Share of dead letters among the ended jobs, 0..1; None without any."""
        return self.dead / self.ended if self.ended else None

    def minus(self, other: Figures) -> Figures:
        """Returns what is left without ``other``; never negative, as the two may be read apart."""
        return Figures(
            max(0, self.dead - other.dead),
            max(0, self.retried - other.retried),
            _difference(self.wait, other.wait),
            _difference(self.run, other.run),
        )

    def percentiles_ms(self, series: str) -> dict[str, float | None]:
        """Returns p50 and p95 in ms of ``wait`` or ``run``."""
        histogram = self.wait if series == "wait" else self.run
        return {f"p{percent}": percentile_ms(histogram, percent / 100) for percent in PERCENTILES}

    def as_json(self) -> dict[str, Any]:
        """The figures as ``stats --by … --json`` prints them."""
        rate = self.failure_rate
        return {
            "completed": self.completed,
            "dead": self.dead,
            "retried": self.retried,
            "failureRate": None if rate is None else round(rate, 4),
            "waitMs": self.percentiles_ms("wait"),
            "runMs": self.percentiles_ms("run"),
        }


def _difference(all_of: Mapping[int, int], some: Mapping[int, int]) -> dict[int, int]:
    rest = ((number, count - some.get(number, 0)) for number, count in all_of.items())
    return {number: count for number, count in rest if count > 0}


def sum_figures(parts: Iterable[Figures]) -> Figures:
    """Returns the sum of figures."""
    parts = tuple(parts)
    return Figures(
        sum(part.dead for part in parts),
        sum(part.retried for part in parts),
        merge_histograms(part.wait for part in parts),
        merge_histograms(part.run for part in parts),
    )


@dataclass(frozen=True, slots=True)
class BreakdownBucket:
    """Ended jobs of the 5 min with this ``number``: by priority and format, and of its busiest projects."""

    number: int
    classes: Mapping[tuple[Priority, str], Figures]
    projects: Mapping[str, Figures]

    def values(self, dimension: Dimension) -> dict[str, Figures]:
        """Returns its figures by the values of a dimension."""
        if dimension is Dimension.PROJECT:
            return dict(self.projects)
        grouped: dict[str, list[Figures]] = {}
        for (priority, output_format), figures in self.classes.items():
            value = priority.value if dimension is Dimension.PRIORITY else output_format
            grouped.setdefault(value, []).append(figures)
        return {value: sum_figures(parts) for value, parts in grouped.items()}

    @property
    def total(self) -> Figures:
        """Figures of all its jobs."""
        return sum_figures(self.classes.values())


@dataclass(frozen=True, slots=True)
class BreakdownRow:
    """One value of a dimension. ``buckets`` has the figures of each bucket of the window, oldest first."""

    value: str
    figures: Figures
    buckets: tuple[Figures, ...]


@dataclass(frozen=True, slots=True)
class Breakdown:
    """Ended jobs from ``since_ms`` to ``until_ms`` (server) by the values of ``dimension``, most ended jobs first.

    ``others`` are the jobs of projects without a row, None if there are none.
    """

    dimension: Dimension
    since_ms: int
    until_ms: int
    rows: tuple[BreakdownRow, ...]
    others: BreakdownRow | None
    total: BreakdownRow

    def find(self, value: str) -> BreakdownRow | None:
        """Returns the row of a value."""
        return next((row for row in self.rows if row.value == value), None)

    def as_json(self) -> dict[str, Any]:
        """The breakdown as ``stats --by … --json`` prints it."""
        return {
            "by": self.dimension.value,
            "since": iso_from_ms(self.since_ms),
            "until": iso_from_ms(self.until_ms),
            "rows": [{"value": row.value, **row.figures.as_json()} for row in self.rows],
            "others": None if self.others is None else self.others.figures.as_json(),
            "total": self.total.figures.as_json(),
        }


def break_down(buckets: Sequence[BreakdownBucket], dimension: Dimension, now_ms: int) -> Breakdown:
    """Groups the buckets of the window that ends at ``now_ms`` (server) by a dimension.

    Formats and priorities are in their own order, projects by their number of ended jobs.
    """
    last = now_ms // BREAKDOWN_MS
    numbers = range(last - BREAKDOWN_BUCKETS + 1, last + 1)
    by_number = {bucket.number: bucket for bucket in buckets}
    columns = [by_number.get(number, BreakdownBucket(number, {}, {})) for number in numbers]
    total = _row("", [bucket.total for bucket in columns])
    values = [bucket.values(dimension) for bucket in columns]
    rows = [
        _row(name, [value.get(name, Figures()) for value in values])
        for name in dict.fromkeys(name for value in values for name in value)
    ]
    rows.sort(key=lambda row: _rank(row, dimension))
    rows = rows[:MAX_PROJECTS]
    named = [sum_figures(value.get(row.value, Figures()) for row in rows) for value in values]
    others = _row("", [one.total.minus(part) for one, part in zip(columns, named, strict=True)])
    return Breakdown(
        dimension,
        numbers[0] * BREAKDOWN_MS,
        now_ms,
        tuple(rows),
        others if others.figures.ended or others.figures.retried else None,
        total,
    )


def _row(value: str, parts: Sequence[Figures]) -> BreakdownRow:
    return BreakdownRow(value, sum_figures(parts), tuple(parts))


def _rank(row: BreakdownRow, dimension: Dimension) -> tuple[int, str]:
    if dimension is Dimension.PRIORITY:
        return list(Priority).index(Priority(row.value)), row.value
    if dimension is Dimension.FORMAT:
        return OUTPUT_FORMATS.index(row.value), row.value
    return -row.figures.ended, row.value
