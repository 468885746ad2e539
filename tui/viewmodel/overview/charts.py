"""The overview's charts: throughput and latency over the last hour or day."""

from __future__ import annotations

from collections.abc import Sequence

from previewops.formatting import format_duration
from previewops.snapshot.histogram import merge_histograms, percentile_ms
from previewops.snapshot.history import HistoryColumn, Period
from previewops.snapshot.model import Snapshot
from previewops.tui.state.queue_view import QueueView
from previewops.tui.viewmodel.bars import short_count
from previewops.tui.viewmodel.chart_drawing import (
    AXIS_COLUMNS,
    column_chart,
    linear_axis,
    log_axis,
    sparkline,
    time_axis,
)
from previewops.tui.viewmodel.spans import Line, Span, Tone, width_of


def format_throughput_lines(view: QueueView, period: Period, columns: int, rows: int) -> list[Line]:
    """The throughput chart: completed and dead jobs a minute over the last hour or day."""
    snapshot = view.snapshot
    if snapshot is None or rows < 3:
        return []
    history = view.history
    width = max(10, columns - AXIS_COLUMNS)
    samples = history.columns(period, width, snapshot.now_ms)
    done = [_per_minute(column, "completed") for column in samples]
    died = [_per_minute(column, "died") for column in samples]
    stacks = [(good, good + bad) for good, bad in zip(done, died, strict=True)]
    scale = linear_axis(max((top for _, top in stacks), default=0))
    tones = (Tone.DONE, Tone.DIED)
    chart = column_chart(stacks, tones, rows=rows - 2, scale=scale, label=lambda at: short_count(round(at)))
    return [_last_minute(view, snapshot, columns), *chart, _when(samples, snapshot.now_ms)]


def _last_minute(view: QueueView, snapshot: Snapshot, columns: int) -> Line:
    spans: list[Span] = []
    for name, label, tone in (
        ("completed", "done", Tone.DONE),
        ("died", "dead", Tone.DIED),
        ("retried", "retried", Tone.WARN),
        ("crashed", "crashed", Tone.WARN),
        ("accepted", "accepted", Tone.NORMAL),
    ):
        count = view.history.count_within(name, 60_000, snapshot.now_ms)
        mark = Span("■ ", tone if count else Tone.FAINT)
        entry = (mark, Span(f"{label} ", Tone.DIM), Span(f"{short_count(count)}  "))
        if width_of((*spans, *entry)) <= columns:
            spans += entry
    note = Span("in 60 s", Tone.DIM)
    return (*spans, note) if width_of((*spans, note)) <= columns else tuple(spans)


def _when(samples: Sequence[HistoryColumn], now_ms: int) -> Line:
    """The time axis, labelled with the real start: the columns cover slightly more than the hour or day."""
    back_ms = now_ms - samples[0].start_ms
    unit_ms, unit = (3_600_000, "h") if back_ms > 5_400_000 else (60_000, "min")
    ages = [round(back_ms * part / 4 / unit_ms) for part in (4, 3, 2, 1)]
    return time_axis(len(samples), (f"-{ages[0]} {unit}", *(f"-{age}" for age in ages[1:]), "now"))


def _per_minute(column: HistoryColumn, name: str) -> float:
    return column.counts.get(name, 0) * 60_000 / column.width_ms


def format_latency_lines(view: QueueView, period: Period, columns: int, rows: int) -> list[Line]:
    """Percentiles of wait and render time as numbers, with charts if there is room."""
    snapshot = view.snapshot
    if snapshot is None:
        return []
    width = max(10, columns - AXIS_COLUMNS)
    samples = view.history.columns(period, width, snapshot.now_ms)
    cell = min(10, (columns - 8) // 3)
    head = f"{'':<8}{'p50':>{cell}}{'p95':>{cell}}{'p99':>{cell}}"
    lines: list[Line] = [(Span(head, Tone.DIM),)]
    for name, series in (("wait", "wait"), ("render", "run")):
        lines.append(_percentiles(name, series, samples, cell, columns if rows < 11 else 0))
    if rows < 11:
        return lines
    chart_rows = rows - len(lines) - 1
    upper = chart_rows // 2
    lines += _latency_chart("wait", "wait", samples, upper)
    lines += _latency_chart("render", "run", samples, chart_rows - upper)
    return [*lines, _when(samples, snapshot.now_ms)]


def _percentiles(name: str, series: str, samples: Sequence[HistoryColumn], cell: int, columns: int) -> Line:
    """One row of percentiles, with a sparkline of the p95 if ``columns`` leave room."""
    merged = merge_histograms(_bins(column, series) for column in samples)
    spans = [Span(f"{name:<8}", Tone.DIM)]
    for fraction, tone in ((0.5, Tone.STRONG), (0.95, Tone.TEXT), (0.99, Tone.TEXT)):
        spans.append(Span(f"{format_duration(percentile_ms(merged, fraction)):>{cell}}", tone))
    room = columns - width_of(tuple(spans)) - 2
    if room >= 8:
        last = [percentile_ms(_bins(column, series), 0.95) or 0.0 for column in samples[-room:]]
        spans.append(Span(f"  {sparkline(last)}", Tone.SLOW))
    return tuple(spans)


def _latency_chart(name: str, series: str, samples: Sequence[HistoryColumn], rows: int) -> list[Line]:
    stacks = []
    for column in samples:
        bins = _bins(column, series)
        stacks.append(tuple(percentile_ms(bins, fraction) or 0.0 for fraction in (0.5, 0.95, 0.99)))
    known = [value for stack in stacks for value in stack if value]
    scale = log_axis(min(known, default=1.0), max(known, default=1_000.0))
    tones = (Tone.FAST, Tone.SLOW, Tone.SLOWEST)
    chart = column_chart(stacks, tones, rows=rows - 1, scale=scale, label=_ms)
    legend = [Span(f"{name:<{AXIS_COLUMNS}}", Tone.DIM)]
    for tone, label in zip(tones, ("p50", "p95", "p99"), strict=True):
        legend += [Span("■ ", tone), Span(f"{label}  ", Tone.DIM)]
    return [tuple(legend), *chart]


def _ms(value: float) -> str:
    if value < 1_000:
        return f"{value:.0f}ms"
    return f"{value / 1_000:.0f}s" if value < 600_000 else f"{value / 60_000:.0f}min"


def _bins(column: HistoryColumn, series: str) -> dict[int, int]:
    return dict(column.wait if series == "wait" else column.run)
