"""Gauges of a host: processors, memory, load, and the disk of DATA_DIR."""

from __future__ import annotations

from collections.abc import Sequence

from previewops.formatting import format_bytes
from previewops.snapshot.fleet import HostGauges
from previewops.snapshot.recent import RECENT_STEP_MS, RECENT_STEPS
from previewops.tui.viewmodel.chart_drawing import EIGHTHS, bar
from previewops.tui.viewmodel.spans import Line, Span, Tone, clip

_NAME = 8
_FULL = 90
"""Percent of memory or disk from which a gauge stands out."""
_STEPS_A_CELL = 2


def heading_gauges(gauges: HostGauges) -> list[Span]:
    """The gauges in a few words, for the heading of a host."""
    return [
        Span("  cpu ", Tone.DIM),
        Span(percent_trend(gauges.cpu_recent, _STEPS_A_CELL), Tone.FAST),
        Span(f" {gauges.cpu_percent:>2}%"),
        Span("  mem ", Tone.DIM),
        _percent(gauges.memory_percent),
        Span("  load ", Tone.DIM),
        Span(f"{gauges.load:.1f}"),
        *_disk(gauges),
    ]


def _disk(gauges: HostGauges) -> list[Span]:
    return [Span("  disk ", Tone.DIM), _percent(gauges.disk_percent)] if gauges.disk_bytes else []


def _percent(percent: int) -> Span:
    return Span(f"{percent}%", Tone.WARN if percent >= _FULL else Tone.TEXT)


def gauge_lines(gauges: HostGauges, columns: int) -> list[Line]:
    """Each gauge with its course of the last ten minutes, or its share as a bar."""
    minutes = RECENT_STEPS * RECENT_STEP_MS // 60_000
    processors = "1 processor" if gauges.processors == 1 else f"{gauges.processors} processors"
    lines = [
        _gauge("cpu", _curve(gauges.cpu_recent), gauges.cpu_percent, f"of {processors}"),
        _gauge(
            "memory",
            _curve(gauges.memory_recent),
            gauges.memory_percent,
            f"{format_bytes(gauges.memory_free_bytes)} free",
        ),
    ]
    if gauges.disk_bytes:
        share = bar(gauges.disk_percent / 100, RECENT_STEPS, Tone.FAST)
        free = f"{format_bytes(gauges.disk_free_bytes)} free, of DATA_DIR"
        lines.append(_gauge("disk", share, gauges.disk_percent, free))
    load = f"{gauges.load:.1f}, mean of a minute; curves are of {minutes} min"
    lines.append((Span(f"{'load':<{_NAME}}", Tone.DIM), Span(load, Tone.DIM)))
    return [clip(line, columns) for line in lines]


def _curve(values: Sequence[int]) -> Line:
    return (Span(f"{percent_trend(values):>{RECENT_STEPS}}", Tone.FAST),)


def _gauge(name: str, course: Line, percent: int, rest: str) -> Line:
    tone = Tone.WARN if percent >= _FULL and name != "cpu" else Tone.STRONG
    return (
        Span(f"{name:<{_NAME}}", Tone.DIM),
        *course,
        Span(f" {percent:>3}%", tone),
        Span(f"  {rest}", Tone.DIM),
    )


def percent_trend(values: Sequence[int], steps_a_cell: int = 1) -> str:
    """Percentages as one row of blocks, relative to 100 %. Several steps become their mean."""
    cells = [
        values[start : start + steps_a_cell]
        for start in range(len(values) % steps_a_cell, len(values), steps_a_cell)
    ]
    means = [sum(cell) / len(cell) for cell in cells]
    return "".join(EIGHTHS[1 + min(7, round(mean / 100 * 7))] for mean in means)
