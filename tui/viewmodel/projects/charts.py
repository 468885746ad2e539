"""The charts of one row: jobs in each 5 min, and percentiles of wait and render time."""

from __future__ import annotations

from collections.abc import Sequence

from previewops.snapshot.breakdown import BREAKDOWN_MS, Breakdown
from previewops.snapshot.history import HistoryColumn
from previewops.tui.viewmodel.bars import short_count
from previewops.tui.viewmodel.chart_drawing import AXIS_COLUMNS, column_chart, linear_axis, sparkline
from previewops.tui.viewmodel.overview.charts import FLOW_TONES, count_label, draw_latency, draw_time_axis
from previewops.tui.viewmodel.projects.rows import TableRow
from previewops.tui.viewmodel.projects.table import format_load_line
from previewops.tui.viewmodel.spans import Line, Span, Tone, clip

_GAP_FROM = 3
"""From this width on a bar has a gap behind it."""


def format_jobs_lines(breakdown: Breakdown, row: TableRow, columns: int, rows: int) -> list[Line]:
    """Completed and dead jobs in each bucket of the window, with clock times; above it a project's load."""
    head = [] if row.load is None else [format_load_line(row.load, columns)]
    rows -= len(head)
    if rows < 3:
        return head
    samples = _samples(breakdown, row, columns)
    gaps = _gaps(row, columns)
    stacks: list[tuple[float, ...]] = [
        () if gap else (sample.counts["completed"], sample.counts["completed"] + sample.counts["died"])
        for sample, gap in zip(samples, gaps, strict=True)
    ]
    scale = linear_axis(max((stack[-1] for stack in stacks if stack), default=0))
    chart = column_chart(stacks, FLOW_TONES, rows=rows - 2, scale=scale, label=count_label)
    legend = (
        Span("■ ", FLOW_TONES[0]),
        Span("done ", Tone.DIM),
        Span(f"{short_count(row.figures.completed)}  "),
        Span("■ ", FLOW_TONES[1]),
        Span("dead ", Tone.DIM),
        Span(short_count(row.figures.dead)),
    )
    return [*head, clip(legend, columns), *chart, draw_time_axis(samples, breakdown.until_ms)]


def format_times_lines(breakdown: Breakdown, row: TableRow, columns: int, rows: int) -> list[Line]:
    """Percentiles of wait and render time, with charts if there is room."""
    lines = draw_latency(_samples(breakdown, row, columns), breakdown.until_ms, columns, rows)
    if len(lines) + _TRENDS + 1 <= rows and columns >= _TREND_NAME + len(row.ended.buckets):
        lines += [(), *_trend_lines(row, columns)]
    return lines


_TRENDS = 2
_TREND_NAME = 12


def _trend_lines(row: TableRow, columns: int) -> list[Line]:
    """The 95th percentiles of the buckets, where there is no room for charts."""
    width = max(1, (columns - _TREND_NAME) // len(row.ended.buckets))
    lines: list[Line] = []
    for name, series in (("wait p95", "wait"), ("render p95", "run")):
        values = [bucket.percentiles_ms(series)["p95"] or 0.0 for bucket in row.ended.buckets]
        trend = sparkline([value for value in values for _ in range(width)])
        lines.append((Span(f"{name:<{_TREND_NAME}}", Tone.DIM), Span(trend, Tone.FAST)))
    return lines


def _bar_columns(row: TableRow, columns: int) -> int:
    return max(1, (columns - AXIS_COLUMNS) // len(row.ended.buckets))


def _samples(breakdown: Breakdown, row: TableRow, columns: int) -> Sequence[HistoryColumn]:
    """The buckets as columns of a chart, each as often as its bar is wide."""
    return [
        HistoryColumn(
            breakdown.since_ms + place * BREAKDOWN_MS,
            BREAKDOWN_MS,
            {"completed": bucket.completed, "died": bucket.dead},
            bucket.wait,
            bucket.run,
        )
        for place, bucket in enumerate(row.ended.buckets)
        for _ in range(_bar_columns(row, columns))
    ]


def _gaps(row: TableRow, columns: int) -> list[bool]:
    width = _bar_columns(row, columns)
    bar = [False] * (width - 1) + [width >= _GAP_FROM]
    return bar * len(row.ended.buckets)
