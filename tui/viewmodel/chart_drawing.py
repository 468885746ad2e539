"""Charts of block characters: columns in steps of an eighth of a cell."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from previewops.tui.viewmodel.spans import Line, Span, Tone, pad

EIGHTHS = " ▁▂▃▄▅▆▇█"
AXIS_COLUMNS = 8
"""Width of the value axis's labels."""


@dataclass(frozen=True, slots=True)
class ValueAxis:
    """A value axis from ``low`` to ``high``. ``logarithmic`` axes need a ``low`` above 0."""

    low: float
    high: float
    logarithmic: bool = False

    def fraction(self, value: float) -> float:
        """The position of a value, from 0 (bottom) to 1 (top)."""
        if self.logarithmic:
            if value <= self.low:
                return 0.0
            return min(1.0, math.log(value / self.low) / math.log(self.high / self.low))
        return min(1.0, max(0.0, (value - self.low) / (self.high - self.low)))

    def value_at(self, share: float) -> float:
        """The value at a position from 0 to 1."""
        if self.logarithmic:
            return float(self.low * (self.high / self.low) ** share)
        return self.low + (self.high - self.low) * share


def linear_axis(maximum: float) -> ValueAxis:
    """An axis from 0 to the next 1, 2 or 5 times a power of ten, at least to 1."""
    if maximum <= 1:
        return ValueAxis(0, 1)
    power = 10.0 ** math.floor(math.log10(maximum))
    return ValueAxis(0, next(step * power for step in (1, 2, 5, 10) if step * power >= maximum))


def log_axis(least: float, maximum: float) -> ValueAxis:
    """A logarithmic axis of whole decades that includes both values."""
    low = 10.0 ** math.floor(math.log10(max(least, 0.1)))
    high = 10.0 ** math.ceil(math.log10(max(maximum, low * 10)))
    return ValueAxis(low, high, logarithmic=True)


def column_chart(
    stacks: Sequence[Sequence[float]],
    tones: Sequence[Tone],
    *,
    rows: int,
    scale: ValueAxis,
    label: Callable[[float], str],
    marks: Sequence[float] = (),
) -> list[Line]:
    """A chart with one column per stack, ``rows`` cells high, with the value axis on its left.

    A stack is a series of heights in ascending order, each with the tone at its index. A column ends at the last
    height; the part up to each height has that height's tone. ``marks`` are values of another series, one per column,
    drawn as ``MARK`` over the columns; 0 is not drawn.
    """
    eighths = [_eighths(stack, scale, rows * 8) for stack in stacks]
    grid = [[_cell(stack, tones, (rows - 1 - row) * 8) for stack in eighths] for row in range(rows)]
    for column, value in enumerate(marks):
        _draw_mark(grid, column, value, scale)
    return [(*_axis(row, rows, scale, label), *cells) for row, cells in enumerate(grid)]


MARK, MARK_TONE = "─", Tone.STRONG
"""Glyph and tone of a series that is drawn over the columns."""


def _draw_mark(grid: list[list[Span]], column: int, value: float, scale: ValueAxis) -> None:
    """Draws a mark into its cell. In front of a full cell the column's tone stays visible behind it.

    A cell of two series is not covered, because its upper one may be in no other cell: the mark is one row higher.
    """
    if value <= 0:
        return
    rows = len(grid)
    row = rows - 1 - min(rows - 1, int(scale.fraction(value) * rows))
    while row and grid[row][column].background is not None:
        row -= 1
    cell = grid[row][column]
    if cell.background is None:
        grid[row][column] = Span(MARK, MARK_TONE, background=cell.tone if cell.text == "█" else None)


def _eighths(stack: Sequence[float], scale: ValueAxis, maximum: int) -> list[int]:
    """The heights in eighths of a cell. A part above 0 is at least one: one failure among thousands is visible."""
    heights: list[int] = []
    below, floor = 0.0, 0
    for height in stack:
        reach = round(scale.fraction(height) * maximum)
        if height > below and reach <= floor:
            reach = min(floor + 1, maximum)
            heights = [min(earlier, reach - 1) for earlier in heights]
        heights.append(reach)
        below, floor = height, reach
    return heights


def _axis(row: int, rows: int, scale: ValueAxis, label: Callable[[float], str]) -> Line:
    shares = {rows - 1: 0.0, 0: 1.0}
    text = label(scale.value_at(shares[row])) if row in shares else ""
    mark = "┤" if row in shares else "│"
    return (*pad((Span(text, Tone.DIM),), AXIS_COLUMNS - 2, right=True), Span(f" {mark}", Tone.FAINT))


def _cell(stack: Sequence[int], tones: Sequence[Tone], floor: int) -> Span:
    """The part of a column within the cell that starts at ``floor`` eighths."""
    parts = [(height, tone) for height, tone in zip(stack, tones, strict=False) if height > floor]
    if not parts:
        return Span(" ")
    height, tone = parts[0]
    if height >= floor + 8:
        return Span("█", tone)
    above = next((upper for reach, upper in parts[1:] if reach > height), None)
    return Span(EIGHTHS[height - floor], tone, background=above)


def time_axis(columns: int, labels: Sequence[str]) -> Line:
    """Labels spread evenly below a chart, the first at its left end, the last at its right end.

    Where they would touch, only these two are drawn.
    """
    starts = _label_starts(columns, labels)
    ends = (start + len(label) for start, label in zip(starts, labels, strict=True))
    if any(end >= start for end, start in zip(ends, starts[1:], strict=False)):
        labels = (labels[0], labels[-1])
        starts = _label_starts(columns, labels)
    text = [" "] * columns
    for start, label in zip(starts, labels, strict=True):
        text[start : start + len(label)] = label
    return (Span(" " * AXIS_COLUMNS), Span("".join(text[:columns]), Tone.DIM))


def _label_starts(columns: int, labels: Sequence[str]) -> list[int]:
    last = max(1, len(labels) - 1)
    return [round((columns - len(label)) * place / last) for place, label in enumerate(labels)]


def bar(share: float, columns: int, tone: Tone) -> Line:
    """A bar that is filled to ``share`` of its columns, in steps of an eighth."""
    partial = " ▏▎▍▌▋▊▉"
    filled = round(min(1.0, max(0.0, share)) * columns * 8)
    if share > 0 and filled == 0:
        filled = 1
    full, rest = divmod(filled, 8)
    text = "█" * full + (partial[rest] if rest else "")
    return (Span(text, tone), Span("·" * (columns - len(text)), Tone.FAINT))


def sparkline(values: Sequence[float]) -> str:
    """The values as one row of blocks, relative to the highest. 0 is the lowest block."""
    maximum = max(values, default=0)
    if maximum <= 0:
        return "▁" * len(values)
    return "".join(EIGHTHS[1 + round(value / maximum * 7)] for value in values)
