"""Distributes the width of a table among its columns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

GAP = 2
"""Blank columns between two columns of a table."""


@dataclass(frozen=True, slots=True)
class TableColumn:
    """One column of a table.

    ``width`` is the minimum. Columns share spare width in proportion to ``grow``. When the width is too small,
    columns are dropped, the highest ``drop`` first, those with 0 never. Text that is too long is cut at its end, or
    with ``middle`` in its middle.
    """

    title: str
    width: int
    right: bool = False
    grow: int = 0
    drop: int = 0
    middle: bool = False


def fit_widths(columns: Sequence[TableColumn], available: int) -> tuple[int, ...]:
    """The width of each column in ``available`` columns; 0 for dropped ones."""
    kept = [True] * len(columns)
    while _needed(columns, kept) > available:
        droppable = [place for place, column in enumerate(columns) if kept[place] and column.drop]
        if not droppable:
            break
        kept[max(droppable, key=lambda place: (columns[place].drop, place))] = False
    widths = [column.width if there else 0 for column, there in zip(columns, kept, strict=True)]
    spare = available - _needed(columns, kept)
    shares = sum(column.grow for column, there in zip(columns, kept, strict=True) if there)
    if spare > 0 and shares:
        for place, column in enumerate(columns):
            if kept[place] and column.grow:
                part = spare * column.grow // shares
                widths[place] += part
                spare -= part
                shares -= column.grow
    return tuple(widths)


def _needed(columns: Sequence[TableColumn], kept: Sequence[bool]) -> int:
    widths = [column.width for column, there in zip(columns, kept, strict=True) if there]
    return sum(widths) + GAP * max(0, len(widths) - 1)
