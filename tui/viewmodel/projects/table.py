"""The table of ended jobs by project, output format or priority."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from previewops.snapshot.breakdown import BREAKDOWN_MS, Breakdown, Dimension, Figures
from previewops.states import Priority
from previewops.tui.viewmodel.bars import short_count
from previewops.tui.viewmodel.chart_drawing import sparkline
from previewops.tui.viewmodel.columns import TableColumn
from previewops.tui.viewmodel.durations import coarse_duration, short_duration
from previewops.tui.viewmodel.hints import key_hint
from previewops.tui.viewmodel.projects.rows import TableRow
from previewops.tui.viewmodel.spans import Line, Span, Tone, clean_span, clip, width_of

if TYPE_CHECKING:
    from previewops.queue.projects import ProjectLoad

_NAMES = {
    Dimension.PROJECT: ("Projects", "project", "(other projects)", "(no project)"),
    Dimension.FORMAT: ("Formats", "format", "(unknown)", "(unknown)"),
    Dimension.PRIORITY: ("Priorities", "priority", "(unknown)", "(unknown)"),
}
_TREND = 13
_ACTIVE = 12
_FAILING = 0.05
"""Share of dead letters from which a rate stands out."""


def name_of(dimension: Dimension) -> str:
    """The title of the table."""
    return _NAMES[dimension][0]


def row_label(row: TableRow, dimension: Dimension) -> str:
    """The name of a row, which may be untrusted."""
    _, _, rest, empty = _NAMES[dimension]
    return rest if row.is_others else row.value or empty


@dataclass(frozen=True, slots=True)
class BreakdownSort:
    """The column by which the rows are sorted, by its title."""

    column: str = "jobs"
    descending: bool = True

    @classmethod
    def first(cls, dimension: Dimension) -> BreakdownSort:
        """Projects with the most jobs first, formats and priorities in their own order."""
        return cls() if dimension is Dimension.PROJECT else _sorted_by(_NAMES[dimension][1])

    def next_column(self, columns: Sequence[TableColumn]) -> BreakdownSort:
        """Sorted by the next column that can be sorted."""
        titles = [column.title for column in columns if column.title in _KEYS]
        place = titles.index(self.column) if self.column in titles else -1
        return _sorted_by(titles[(place + 1) % len(titles)])

    def reversed(self) -> BreakdownSort:
        """Sorted in the other direction."""
        return replace(self, descending=not self.descending)

    def select(self, title: str) -> BreakdownSort:
        """After a click on a title: sorted by it, or reversed."""
        return self.reversed() if title == self.column else _sorted_by(title)

    def apply(self, rows: Sequence[TableRow]) -> tuple[TableRow, ...]:
        """The rows in order. Rows without a value come last in both directions, behind them the other projects."""
        key = _KEYS[self.column]
        named = [row for row in rows if not row.is_others]
        known = [row for row in named if key(row) is not None]
        known.sort(key=lambda row: key(row) or 0, reverse=self.descending)
        unknown = (row for row in named if key(row) is None)
        return (*known, *unknown, *(row for row in rows if row.is_others))

    def headers(self, columns: Sequence[TableColumn]) -> tuple[TableColumn, ...]:
        """The columns with titles that can be clicked; that of the sorted one stands out."""
        return tuple(
            replace(
                column,
                action=f"screen.sort_by('{column.title}')" if column.title in _KEYS else "",
                tone=Tone.INFO if column.title == self.column else Tone.DIM,
            )
            for column in columns
        )


def _sorted_by(title: str) -> BreakdownSort:
    return BreakdownSort(title, descending=title not in _TEXT_COLUMNS)


def _percentile(series: str, name: str) -> Callable[[TableRow], float | None]:
    return lambda row: row.figures.percentiles_ms(series)[name]


_TEXT_COLUMNS = frozenset(name for _, name, _, _ in _NAMES.values())
_KEYS: Mapping[str, Callable[[TableRow], float | str | None]] = {
    "project": lambda row: row.value.casefold(),
    "format": lambda row: row.value,
    "priority": lambda row: [one.value for one in Priority].index(row.value),
    "waiting": lambda row: None if row.load is None else row.load.waiting,
    "active": lambda row: None if row.load is None else row.load.active,
    "weight": lambda row: None if row.load is None else row.load.weight,
    "jobs": lambda row: row.figures.ended,
    "failed": lambda row: row.figures.failure_rate,
    "dead": lambda row: row.figures.dead,
    "retried": lambda row: row.figures.retried,
    "wait p50": _percentile("wait", "p50"),
    "wait p95": _percentile("wait", "p95"),
    "run p50": _percentile("run", "p50"),
    "run p95": _percentile("run", "p95"),
}
"""What each column is sorted by."""


def columns(dimension: Dimension) -> tuple[TableColumn, ...]:
    """The columns of a breakdown. Projects also have what they wait for and run."""
    loads = (
        TableColumn("waiting", 7, right=True),
        TableColumn("active", _ACTIVE, right=True),
        TableColumn("weight", 6, right=True, drop=5),
    )
    return (
        TableColumn(_NAMES[dimension][1], 14, grow=1),
        *(loads if dimension is Dimension.PROJECT else ()),
        TableColumn("jobs", 5, right=True),
        TableColumn("each 5 min", _TREND, drop=8),
        TableColumn("failed", 6, right=True),
        TableColumn("dead", 5, right=True, drop=4),
        TableColumn("retried", 7, right=True, drop=7),
        TableColumn("wait p50", 8, right=True, drop=6),
        TableColumn("wait p95", 8, right=True, drop=1),
        TableColumn("run p50", 8, right=True, drop=3),
        TableColumn("run p95", 8, right=True, drop=2),
    )


def cells(row: TableRow, dimension: Dimension) -> tuple[Line, ...]:
    """The cells of a row."""
    figures = row.figures
    label = row_label(row, dimension)
    plain = row.is_others or not row.value
    waits, runs = figures.percentiles_ms("wait"), figures.percentiles_ms("run")
    return (
        (Span(label, Tone.DIM) if plain else clean_span(label, _PRIORITY_TONES.get(label, Tone.TEXT)),),
        *(_load_cells(row.load) if dimension is Dimension.PROJECT else ()),
        (Span(short_count(figures.ended), Tone.TEXT if figures.ended else Tone.DIM),),
        (Span(sparkline([bucket.ended for bucket in row.ended.buckets]), Tone.DONE),),
        format_rate_line(figures),
        (Span(short_count(figures.dead), Tone.BAD if figures.dead else Tone.DIM),),
        (Span(short_count(figures.retried), Tone.WARN if figures.retried else Tone.DIM),),
        *(_duration(value) for value in (*waits.values(), *runs.values())),
    )


def _load_cells(load: ProjectLoad | None) -> tuple[Line, ...]:
    if load is None:
        return ((Span("-", Tone.DIM),),) * 3
    return (
        (Span(short_count(load.waiting), Tone.TEXT if load.waiting else Tone.DIM),),
        format_active_line(load),
        (Span(str(load.weight), Tone.TEXT if load.weight > 1 else Tone.DIM),),
    )


def format_active_line(load: ProjectLoad) -> Line:
    """Active jobs and their maximum. A project that is held says so, and its maximum gives way to that."""
    active = short_count(load.active)
    both = active if load.max_active is None else f"{active}/{short_count(load.max_active)}"
    if not load.held:
        return (Span(both, Tone.TEXT if load.active else Tone.DIM),)
    texts = (f"‖ held {both}", f"‖ held {active}")
    return (Span(next((text for text in texts if len(text) <= _ACTIVE), texts[-1]), Tone.WARN),)


def format_load_line(load: ProjectLoad, columns: int) -> Line:
    """What a project runs and waits for, and its limits, in words; as many as fit whole."""
    if load.held:
        first = Span(f"‖ held: {load.active:,} of {load.max_active or 0:,} active", Tone.WARN)
    else:
        most = "" if load.max_active is None else f" of {load.max_active:,}"
        first = Span(f"{load.active:,}{most} active")
    parts = [first, Span(f", weight {load.weight}"), Span(f", {load.waiting:,} waiting")]
    if load.oldest_wait_ms is not None:
        parts.append(Span(f" for {coarse_duration(load.oldest_wait_ms)}", Tone.DIM))
    shown = len(parts)
    while shown > 1 and width_of(tuple(parts[:shown])) > columns:
        shown -= 1
    return clip(tuple(parts[:shown]), columns)


_PRIORITY_TONES = {"high": Tone.HIGH, "normal": Tone.NORMAL, "low": Tone.LOW}


def format_rate_line(figures: Figures) -> Line:
    """The share of dead letters among the ended jobs: "-" without any, "<1 %" for a few among many."""
    rate = figures.failure_rate
    if rate is None:
        return (Span("-", Tone.DIM),)
    text = "<1 %" if 0 < rate < 0.01 else ">99 %" if 0.99 < rate < 1 else f"{rate * 100:.0f} %"
    return (Span(text, Tone.BAD if rate >= _FAILING else Tone.TEXT if rate else Tone.DIM),)


def _duration(ms: float | None) -> Line:
    return (Span("-", Tone.DIM) if ms is None else Span(short_duration(round(ms))),)


def summary(breakdown: Breakdown) -> str:
    """The sum of all rows, for the frame."""
    figures = breakdown.total.figures
    minutes = round((breakdown.until_ms - breakdown.since_ms) / 60_000)
    jobs = "1 job" if figures.ended == 1 else f"{short_count(figures.ended)} jobs"
    parts = [f"{jobs} ended in {minutes} min"]
    if figures.dead:
        parts.append(f"{short_count(figures.dead)} dead")
    if figures.retried:
        parts.append(f"{short_count(figures.retried)} retried")
    return ", ".join(parts)


def format_empty_lines() -> list[Line]:
    """The text in place of rows when no job has ended."""
    minutes = BREAKDOWN_MS // 60_000
    return [
        (Span("no job ended in the last hour", Tone.STRONG),),
        (Span(f"Workers report what they complete; figures are kept in steps of {minutes} min.", Tone.DIM),),
        (Span("The jobs themselves: ", Tone.DIM), *key_hint("show('jobs')", "opens them.")),
    ]
