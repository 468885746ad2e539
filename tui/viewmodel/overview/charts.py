"""The overview's charts: throughput, backlog and latency over the last hour or day."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from previewops.snapshot.histogram import merge_histograms, percentile_ms
from previewops.snapshot.history import HistoryColumn, Period
from previewops.snapshot.model import Snapshot
from previewops.tui.state.queue_view import QueueView
from previewops.tui.viewmodel.bars import short_count
from previewops.tui.viewmodel.chart_drawing import (
    AXIS_COLUMNS,
    MARK,
    MARK_TONE,
    column_chart,
    linear_axis,
    log_axis,
    sparkline,
    time_axis,
)
from previewops.tui.viewmodel.clock_text import UTC, ClockZone
from previewops.tui.viewmodel.durations import short_duration
from previewops.tui.viewmodel.spans import Line, Span, Tone, clip, width_of

_FRACTIONS = {"p50": 0.5, "p95": 0.95, "p99": 0.99, "longest": 1.0}
_CHART_FRACTIONS: Mapping[str, Mapping[str, float]] = {
    "wait": {"p50": 0.5, "p95": 0.95, "longest": 1.0},
    "run": {"p50": 0.5, "p95": 0.95, "p99": 0.99},
}
"""Series of each chart: of waits the longest one, which is how long the oldest job waited."""

_MARKS_FROM = 4
"""Up to this height arrivals are not drawn: they would cover the columns."""
_DEPTH_FROM = 10
"""From this height on the backlog is drawn below the throughput."""
_NAME = 7
_CELL = 9
"""Width of a duration with the gap before it."""


def format_throughput_lines(
    view: QueueView, period: Period, columns: int, rows: int, zone: ClockZone = UTC
) -> list[Line]:
    """Arrivals against ends, in jobs a minute, over the last hour or day; below it the backlog if there is room."""
    snapshot = view.snapshot
    if snapshot is None or rows < 3:
        return []
    samples = view.history.columns(period, max(10, columns - AXIS_COLUMNS), snapshot.now_ms)
    axis = draw_time_axis(samples, snapshot.now_ms, zone)
    if rows < _DEPTH_FROM:
        return [*_flow_chart(samples, snapshot.now_ms, columns, rows - 1), axis]
    lower = (rows - 1) // 3
    flow = _flow_chart(samples, snapshot.now_ms, columns, rows - 1 - lower)
    return [*flow, *_depth_chart(samples, snapshot, columns, lower), axis]


def _flow_chart(samples: Sequence[HistoryColumn], now_ms: int, columns: int, rows: int) -> list[Line]:
    done = [_per_minute(column, "completed") for column in samples]
    died = [_per_minute(column, "died") for column in samples]
    arrived = [_per_minute(column, "accepted") for column in samples]
    if rows <= _MARKS_FROM:
        arrived = []
    stacks = [(good, good + bad) for good, bad in zip(done, died, strict=True)]
    scale = linear_axis(max((*(top for _, top in stacks), *arrived), default=0))
    label = count_label
    chart = column_chart(stacks, FLOW_TONES, rows=rows - 1, scale=scale, label=label, marks=arrived)
    return [_flow_legend(_FLOW if arrived else _FLOW[:2], samples, now_ms, columns), *chart]


FLOW_TONES = (Tone.DONE, Tone.DIED)
_FLOW = (
    ("completed", "done", "■", Tone.DONE),
    ("died", "dead", "■", Tone.DIED),
    ("accepted", "arrived", MARK, MARK_TONE),
)


def _flow_legend(
    entries: Sequence[tuple[str, str, str, Tone]], samples: Sequence[HistoryColumn], now_ms: int, columns: int
) -> Line:
    """What is drawn, each with its sum over the window that is drawn. Where room is short, sums give way."""
    window = f"in {_window_text(samples, now_ms)}"
    for with_sums in (True, False):
        spans: list[Span] = []
        for name, label, mark, tone in entries:
            total = sum(column.counts.get(name, 0) for column in samples)
            figure = f"{short_count(total)}  " if with_sums else " "
            spans += [Span(f"{mark} ", tone), Span(f"{label} ", Tone.DIM), Span(figure)]
        line = (*spans, Span(window, Tone.DIM)) if with_sums else tuple(spans)
        if width_of(line) <= columns:
            break
    return line


def _depth_chart(samples: Sequence[HistoryColumn], snapshot: Snapshot, columns: int, rows: int) -> list[Line]:
    """The number of pending jobs at the end of each column."""
    depths = pending_history(samples, snapshot.pending)
    scale = linear_axis(max(depths))
    chart = column_chart(
        [(depth,) for depth in depths], (Tone.NORMAL,), rows=rows - 1, scale=scale, label=count_label
    )
    legend = (
        Span("■ ", Tone.NORMAL),
        Span("pending jobs ", Tone.DIM),
        Span(short_count(snapshot.pending)),
        Span(" now", Tone.DIM),
    )
    return [clip(legend, columns), *chart]


def pending_history(samples: Sequence[HistoryColumn], pending: int) -> list[float]:
    """Pending jobs (waiting, delayed and running) at the end of each column, from what came and went after it."""
    depths: list[float] = []
    depth = pending
    for column in reversed(samples):
        depths.append(float(max(0, depth)))
        came = sum(column.counts.get(name, 0) for name in ("accepted", "requeued"))
        went = sum(column.counts.get(name, 0) for name in ("completed", "died", "cancelled"))
        depth -= came - went
    return depths[::-1]


def count_label(value: float) -> str:
    return short_count(round(value))


def _window_text(samples: Sequence[HistoryColumn], now_ms: int) -> str:
    """The time that the columns cover, slightly more than the hour or day."""
    minutes = round((now_ms - samples[0].start_ms) / 60_000)
    return f"{minutes} min" if minutes < 120 else f"{round(minutes / 60)} h"


def draw_time_axis(samples: Sequence[HistoryColumn], now_ms: int, zone: ClockZone = UTC) -> Line:
    """The time axis: clock times at its columns, and at its end the present time with its zone."""
    first, last = samples[0].start_ms, samples[-1].start_ms
    starts = [first + round((last - first) * part / 4) for part in range(4)]
    return time_axis(
        len(samples), [*(_clock(at, zone) for at in starts), f"{_clock(now_ms, zone)} {zone.name}"]
    )


def _clock(at_ms: int, zone: ClockZone) -> str:
    return zone.iso(at_ms)[11:16]


def _per_minute(column: HistoryColumn, name: str) -> float:
    return column.counts.get(name, 0) * 60_000 / column.width_ms


def format_latency_lines(
    view: QueueView, period: Period, columns: int, rows: int, zone: ClockZone = UTC
) -> list[Line]:
    """Percentiles of wait and render time as numbers, with charts if there is room."""
    snapshot = view.snapshot
    if snapshot is None:
        return []
    samples = view.history.columns(period, max(10, columns - AXIS_COLUMNS), snapshot.now_ms)
    return draw_latency(samples, snapshot.now_ms, columns, rows, zone)


def draw_latency(
    samples: Sequence[HistoryColumn], now_ms: int, columns: int, rows: int, zone: ClockZone = UTC
) -> list[Line]:
    """Percentiles of wait and render time of ``samples``, with charts if there is room."""
    # Durations take up to eight columns: the last percentiles give way rather than touch each other.
    fractions = dict(list(_FRACTIONS.items())[: max(1, (columns - _NAME) // _CELL)])
    head = f"{'':<{_NAME}}" + "".join(f"{name:>{_CELL}}" for name in fractions)
    lines: list[Line] = [(Span(head, Tone.DIM),)]
    for name, series in (("wait", "wait"), ("render", "run")):
        lines.append(_percentiles(name, series, samples, fractions, columns if rows < 11 else 0))
    if rows < 11:
        return lines
    chart_rows = rows - len(lines) - 1
    upper = chart_rows // 2
    lines += _latency_chart("wait", "wait", samples, upper)
    lines += _latency_chart("render", "run", samples, chart_rows - upper)
    return [*lines, draw_time_axis(samples, now_ms, zone)]


def _percentiles(
    name: str,
    series: str,
    samples: Sequence[HistoryColumn],
    fractions: Mapping[str, float],
    columns: int,
) -> Line:
    """One row of percentiles, with a sparkline of the p95 if ``columns`` leave room."""
    merged = merge_histograms(_bins(column, series) for column in samples)
    spans = [Span(f"{name:<{_NAME}}", Tone.DIM)]
    for fraction in fractions.values():
        value = percentile_ms(merged, fraction)
        figure = "-" if value is None else short_duration(round(value))
        spans.append(Span(f"{figure:>{_CELL}}", Tone.STRONG if fraction == 0.5 else Tone.TEXT))
    room = columns - width_of(tuple(spans)) - 2
    if room >= 8:
        last = [percentile_ms(_bins(column, series), 0.95) or 0.0 for column in samples[-room:]]
        spans.append(Span(f"  {sparkline(last)}", Tone.FAST))
    return tuple(spans)


def _latency_chart(name: str, series: str, samples: Sequence[HistoryColumn], rows: int) -> list[Line]:
    fractions = _CHART_FRACTIONS[series]
    stacks = []
    for column in samples:
        bins = _bins(column, series)
        stacks.append(tuple(percentile_ms(bins, fraction) or 0.0 for fraction in fractions.values()))
    known = [value for stack in stacks for value in stack if value]
    scale = log_axis(min(known, default=1.0), max(known, default=1_000.0))
    tones = (Tone.FAST, Tone.SLOW, Tone.SLOWEST)
    chart = column_chart(stacks, tones, rows=rows - 1, scale=scale, label=_duration_label)
    legend = [Span(f"{name:<{AXIS_COLUMNS}}", Tone.DIM)]
    for tone, label in zip(tones, fractions, strict=True):
        legend += [Span("■ ", tone), Span(f"{label}  ", Tone.DIM)]
    scaled = (*legend, Span("log scale", Tone.DIM))
    columns = AXIS_COLUMNS + len(samples)
    return [scaled if width_of(scaled) <= columns else clip(tuple(legend), columns), *chart]


def _duration_label(value: float) -> str:
    """A duration of a decade in at most six columns."""
    for unit_ms, unit in ((86_400_000, "d"), (3_600_000, "h"), (60_000, "m"), (1_000, "s")):
        if value >= unit_ms:
            return f"{value / unit_ms:.0f} {unit}in" if unit == "m" else f"{value / unit_ms:.0f} {unit}"
    return f"{value:.0f} ms"


def _bins(column: HistoryColumn, series: str) -> dict[int, int]:
    return dict(column.wait if series == "wait" else column.run)
