"""The table of ``stats --by``."""

from __future__ import annotations

from previewops.clock import iso_from_ms
from previewops.formatting import format_duration, format_table
from previewops.snapshot.breakdown import Breakdown, BreakdownRow, Dimension

_HEADERS = ("COMPLETED", "DEAD", "FAILED", "RETRIED", "WAIT p50", "WAIT p95", "RUN p50", "RUN p95")


def breakdown_lines(breakdown: Breakdown) -> list[str]:
    """Returns the lines: the window, then a table with one row per value, and the sum."""
    since, until = iso_from_ms(breakdown.since_ms), iso_from_ms(breakdown.until_ms)
    if not breakdown.total.figures.ended and not breakdown.total.figures.retried:
        return [f"no job ended since {since}"]
    rows = [_cells(row, row.value or "(none)") for row in breakdown.rows]
    if breakdown.others is not None:
        name = "others" if breakdown.dimension is Dimension.PROJECT else "unknown"
        rows.append(_cells(breakdown.others, f"({name})"))
    rows.append(_cells(breakdown.total, "(all)"))
    headers = (breakdown.dimension.value.upper(), *_HEADERS)
    table = format_table(headers, rows, flexible=headers[0], right=_HEADERS)
    return [f"jobs that ended from {since} to {until}", "", *table]


def _cells(row: BreakdownRow, name: str) -> tuple[str, ...]:
    figures = row.figures
    rate = figures.failure_rate
    waits, runs = figures.percentiles_ms("wait"), figures.percentiles_ms("run")
    return (
        name,
        f"{figures.completed:,}",
        f"{figures.dead:,}",
        "-" if rate is None else format_rate(rate),
        f"{figures.retried:,}",
        *(format_duration(value) for value in (*waits.values(), *runs.values())),
    )


def format_rate(rate: float) -> str:
    """Formats a share of 0..1: "0 %", "0.4 %", "12 %"."""
    percent = rate * 100
    return f"{percent:.1f} %" if 0 < percent < 9.95 else f"{percent:.0f} %"
