"""Distributes the width of a table among its columns."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from previewops.tui.viewmodel.spans import Line, Span, Tone, clip_middle, pad

GAP = 2
"""Blank columns between two columns of a table."""


@dataclass(frozen=True, slots=True)
class TableColumn:
    """One column of a table.

    ``width`` is the minimum. Columns share spare width in proportion to ``grow``. When the width is too small,
    columns are dropped, the highest ``drop`` first, those with 0 never. Text that is too long is cut at its end, or
    with ``middle`` in its middle. A click on the title runs ``action``.
    """

    title: str
    width: int
    right: bool = False
    grow: int = 0
    drop: int = 0
    middle: bool = False
    action: str = ""
    tone: Tone = Tone.DIM

    @property
    def header(self) -> Line:
        return (Span(self.title, self.tone, self.action),)


def matching_titles(titles: Sequence[str], chosen: Iterable[str]) -> tuple[str, ...]:
    """The titles that are chosen. A part of a title is enough: "reason" is that of "progress/reason"."""
    parts = {part for title in chosen for part in title.split("/")}
    return tuple(title for title in titles if parts & set(title.split("/")))


def chosen_places(columns: Sequence[TableColumn], chosen: Sequence[str]) -> tuple[int, ...]:
    """The places of the columns whose titles are chosen; those of all columns if there is none."""
    titles = matching_titles([column.title for column in columns], chosen)
    places = tuple(place for place, column in enumerate(columns) if column.title in titles)
    return places or tuple(range(len(columns)))


def choose_cells(cells: Sequence[Line], places: Sequence[int], columns: int) -> tuple[Line, ...]:
    """The cells at these places. In a row with fewer cells than ``columns``, the last cell always stays."""
    if len(cells) >= columns:
        return tuple(cells[place] for place in places)
    last = len(cells) - 1
    return (*(cells[place] for place in places if place < last), *cells[-1:])


def fit_widths(columns: Sequence[TableColumn], available: int) -> tuple[int, ...]:
    """The width of each column in ``available`` columns; 0 for dropped ones."""
    widths = [column.width for column in columns]
    while total_width(widths) > available:
        droppable = [place for place, column in enumerate(columns) if widths[place] and column.drop]
        if not droppable:
            break
        widths[max(droppable, key=lambda place: (columns[place].drop, place))] = 0
    spare = available - total_width(widths)
    growing = [place for place, column in enumerate(columns) if widths[place] and column.grow]
    shares = sum(columns[place].grow for place in growing)
    for place in growing if spare > 0 else ():
        part = spare * columns[place].grow // shares
        widths[place] += part
        spare -= part
        shares -= columns[place].grow
    return tuple(widths)


def total_width(widths: Sequence[int]) -> int:
    """The width of the columns that are not dropped, with the gaps between them."""
    kept = [width for width in widths if width]
    return sum(kept) + GAP * max(0, len(kept) - 1)


def lay_out_row(cells: Sequence[Line], columns: Sequence[TableColumn], widths: Sequence[int]) -> Line:
    """The cells of one row at the widths of ``fit_widths``.

    With fewer cells than columns, the last cell takes the remaining width.
    """
    spans: list[Span] = []
    short = len(cells) < len(widths)
    for place, (cell, column) in enumerate(zip(cells, columns, strict=False)):
        last = short and place == len(cells) - 1
        width = total_width(widths[place:]) if last else widths[place]
        if not width:
            continue
        if spans:
            spans.append(Span(" " * GAP))
        cut = clip_middle(cell, width) if column.middle else cell
        spans += pad(cut, width, right=column.right and not last)
    return tuple(spans)
