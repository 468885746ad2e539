"""What widgets that draw lines of the view-model share: spans into strips, and which cells have changed."""

from __future__ import annotations

from collections.abc import Iterable

from rich.segment import Segment
from textual.geometry import Region
from textual.strip import Strip

from previewops.tui.palette import Palette
from previewops.tui.shape.spans import Line, pad

SCROLLBAR = 1
"""Columns that are kept free for a scroll bar, whether there is one or not: so its coming shifts nothing."""


def strip_of(line: Line, columns: int, palette: Palette) -> Strip:
    """The line in exactly ``columns`` columns."""
    fitted = pad(line, columns)
    return Strip([Segment(span.text, palette.style(span)) for span in fitted if span.text], columns)


def changed_regions(old: list[Strip], new: list[Strip]) -> Iterable[Region]:
    """The parts of the lines that differ, one region a line: what a slow line has to carry.

    Both lists have as many strips.
    """
    for y, (before, after) in enumerate(zip(old, new, strict=True)):
        if before == after:
            continue
        first, last = _differing(before, after)
        yield Region(first, y, max(1, last - first), 1)


def _differing(before: Strip, after: Strip) -> tuple[int, int]:
    """The first cell that differs and the one after the last, found at the edges of segments."""
    length = max(before.cell_length, after.cell_length)
    start = _common(list(before), list(after))
    end = _common(list(before)[::-1], list(after)[::-1])
    return start, max(start + 1, length - end)


def _common(one: list[Segment], other: list[Segment]) -> int:
    cells = 0
    for left, right in zip(one, other, strict=False):
        if left != right:
            break
        cells += left.cell_length
    return cells
