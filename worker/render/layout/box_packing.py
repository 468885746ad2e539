"""Packs boxes for any number of pictures into an area. Pure geometry.

Boxes keep the aspect ratio of their pictures, so that nothing is cropped (justified rows): all boxes of a row have
one height, all rows one width. Only ``grid`` has cells of equal size.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

from previewops.worker.render.layout.geometry import Box, Size

_NARROWEST, _WIDEST = 0.42, 3.2  # aspect ratios of a cell: other pictures get a panel
_MAX_EXHAUSTIVE = 8  # up to this number of pictures, every partition into rows is tried
_RATIO_TOLERANCE = 0.03  # relative difference below which ratios count as equal
_MAX_STRIP_SHARE = 0.55  # largest share of the large cell's side for the small cells of `focus`


@dataclass(frozen=True, slots=True)
class Spacing:
    """Pixels between cells, pixels for a label below a cell, and the minimum side of a cell.

    ``labelled`` has the indices of the pictures with a label.
    """

    gap: int
    label: int = 0
    min_side: int = 0
    labelled: frozenset[int] = frozenset()

    def label_height(self, first: int, last: int) -> int:
        """Height of the labels below the cells ``first`` to ``last`` of one row."""
        return self.label if any(at in self.labelled for at in range(first, last)) else 0


def pack_boxes(area: Box, shapes: Sequence[Size], layout: str, spacing: Spacing) -> tuple[Box, ...]:
    """Returns a cell inside ``area`` for each of ``shapes``, in order, with room for its label below.

    ``layout`` is full or focus (the first large, the others in a strip), split (one row or one column), grid (cells
    of equal size), or auto (rows of equal width). Sides are at least ``spacing.min_side``, except those of a single
    cell. Without enough room, another layout is tried; then the result has fewer cells than shapes.
    """
    if not shapes:
        return ()
    for count in range(len(shapes), 1, -1):
        for tried in dict.fromkeys((layout, "auto", "grid")):
            cells = _clip(_pack_layout(area, shapes[:count], tried, spacing), area)
            if min(cell.size.short for cell in cells) >= max(1, spacing.min_side):
                return cells
    return _clip(_rows(area, [[_ratio(shapes[0])]], spacing), area)


def _clip(cells: tuple[Box, ...], area: Box) -> tuple[Box, ...]:
    """Clips cells to ``area``: rounding can make a row one pixel too long."""
    return tuple(
        Box(
            max(area.left, min(cell.left, area.right - 1)),
            max(area.top, min(cell.top, area.bottom - 1)),
            max(area.left + 1, min(cell.right, area.right)),
            max(area.top + 1, min(cell.bottom, area.bottom)),
        )
        for cell in cells
    )


def _ratio(shape: Size) -> float:
    return min(_WIDEST, max(_NARROWEST, shape.width / shape.height))


def _pack_layout(area: Box, shapes: Sequence[Size], layout: str, spacing: Spacing) -> tuple[Box, ...]:
    ratios = [_ratio(shape) for shape in shapes]
    if layout in ("full", "focus"):
        return _focus(area, ratios, spacing)
    if layout == "split":
        options = [_rows(area, [ratios], spacing), _column(area, ratios, spacing)]
    elif layout == "grid":
        options = [_grid(area, ratios, rows, spacing) for rows in range(1, len(ratios) + 1)]
    else:
        options = [_rows(area, rows, spacing) for rows in _partitions(ratios)]
        options.append(_column(area, ratios, spacing))
    return max(options, key=_score)


def _score(cells: Sequence[Box]) -> float:
    areas = [max(0, cell.width) * max(0, cell.height) for cell in cells]
    return sum(areas) + 2 * len(areas) * min(areas)


def _partitions(ratios: list[float]) -> Iterator[list[list[float]]]:
    """Yields partitions of ``ratios``, in order, into rows."""
    count = len(ratios)
    if count <= _MAX_EXHAUSTIVE:
        for bits in range(1 << (count - 1)):
            cuts = [0, *(at for at in range(1, count) if bits >> (at - 1) & 1), count]
            yield [ratios[start:end] for start, end in pairwise(cuts)]
        return
    for rows in range(1, count + 1):
        per_row, rest = divmod(count, rows)
        cuts = [0]
        for row in range(rows):
            cuts.append(cuts[-1] + per_row + (row < rest))
        yield [ratios[start:end] for start, end in pairwise(cuts)]


def _rows(area: Box, rows: Sequence[Sequence[float]], spacing: Spacing) -> tuple[Box, ...]:
    """Returns centred rows of equal width, as wide as the area allows."""
    gap = spacing.gap
    ends = list(accumulate(len(row) for row in rows))
    labels = [spacing.label_height(end - len(row), end) for row, end in zip(rows, ends, strict=True)]
    between = gap * (len(rows) - 1) + sum(labels)
    # A row of width w has the height (w - gaps) / ratios; the sum over all rows must fit the area.
    slope = sum(1 / sum(row) for row in rows)
    fixed = sum(gap * (len(row) - 1) / sum(row) for row in rows)
    width = min(area.width, int((area.height - between + fixed) / slope))
    heights = [max(1, round((width - gap * (len(row) - 1)) / sum(row))) for row in rows]
    left = area.left + (area.width - width) // 2
    top = area.top + max(0, area.height - sum(heights) - between) // 2
    cells: list[Box] = []
    for row, height, label in zip(rows, heights, labels, strict=True):
        room = max(len(row), width - gap * (len(row) - 1))
        passed = 0.0
        for place, ratio in enumerate(row):
            start = left + gap * place + round(room * passed / sum(row))
            passed += ratio
            end = left + gap * place + round(room * passed / sum(row))
            cells.append(Box(start, top, max(start + 1, end), top + height))
        top += height + label + gap
    return tuple(cells)


def _column(area: Box, ratios: Sequence[float], spacing: Spacing) -> tuple[Box, ...]:
    return _rows(area, [[ratio] for ratio in ratios], spacing)


def _grid(area: Box, ratios: Sequence[float], rows: int, spacing: Spacing) -> tuple[Box, ...]:
    """Returns cells of equal size, with the most common aspect ratio; the last row may have fewer."""
    columns = -(-len(ratios) // rows)
    rows = -(-len(ratios) // columns)
    gap, label, ratio = spacing.gap, spacing.label_height(0, len(ratios)), _most_common_ratio(ratios)
    width = (area.width - gap * (columns - 1)) // columns
    height = (area.height - gap * (rows - 1)) // rows - label
    width, height = max(1, min(width, round(height * ratio))), max(1, min(height, round(width / ratio)))
    left = area.left + (area.width - columns * width - gap * (columns - 1)) // 2
    top = area.top + (area.height - rows * (height + label) - gap * (rows - 1)) // 2
    across, down = width + gap, height + label + gap
    places = (divmod(at, columns) for at in range(len(ratios)))
    return tuple(Box.at(left + place * across, top + row * down, (width, height)) for row, place in places)


def _most_common_ratio(ratios: Sequence[float]) -> float:
    return max(ratios, key=lambda ratio: sum(abs(other / ratio - 1) < _RATIO_TOLERANCE for other in ratios))


def _focus(area: Box, ratios: Sequence[float], spacing: Spacing) -> tuple[Box, ...]:
    """Returns one large cell and a strip beside or below it, whichever makes the large cell larger."""
    if len(ratios) == 1:
        return _rows(area, [ratios], spacing)
    options = (_beside(area, ratios, spacing), _below(area, ratios, spacing))
    return max(
        options, key=lambda cells: cells[0].size.pixels * min(cell.size.short for cell in cells) ** 0.5
    )


def _beside(area: Box, ratios: Sequence[float], spacing: Spacing) -> tuple[Box, ...]:
    """Puts the strip in a column as high as the large cell, within the width limits."""
    gap, label = spacing.gap, spacing.label_height(0, len(ratios))
    first, others = ratios[0], ratios[1:]
    inverse = sum(1 / ratio for ratio in others)
    between = (gap + label) * (len(others) - 1)
    height = min(area.height - label, (area.width - gap + between / inverse) / (first + 1 / inverse))
    column = (height - between) / inverse
    if column > _MAX_STRIP_SHARE * first * height:
        height = min(area.height - label, (area.width - gap) / (first * (1 + _MAX_STRIP_SHARE)))
        column = _MAX_STRIP_SHARE * first * height
    large = Size(max(1, round(first * height)), max(1, round(height)))
    width = max(1, round(column))
    left = area.left + max(0, area.width - large.width - gap - width) // 2
    top = area.top + max(0, area.height - label - large.height) // 2
    cells, down = [Box.at(left, top, large)], float(top)
    for ratio in others:
        height_px = max(1, round(down + column / ratio) - round(down))
        cells.append(Box.at(left + large.width + gap, round(down), (width, height_px)))
        down += column / ratio + gap + label
    return tuple(cells)


def _below(area: Box, ratios: Sequence[float], spacing: Spacing) -> tuple[Box, ...]:
    """Puts the strip in a row as wide as the large cell, within the height limit."""
    gap = spacing.gap
    label, lower = spacing.label_height(0, 1), spacing.label_height(1, len(ratios))
    first, others = ratios[0], ratios[1:]
    room = area.height - gap - label - lower
    between = gap * (len(others) - 1)
    width = min(area.width, (room + between / sum(others)) / (1 / first + 1 / sum(others)))
    strip = (width - between) / sum(others)
    if strip > _MAX_STRIP_SHARE * width / first:
        width = min(area.width, room / ((1 + _MAX_STRIP_SHARE) / first))
        strip = _MAX_STRIP_SHARE * width / first
    large = Size(max(1, round(width)), max(1, round(width / first)))
    left = area.left + (area.width - large.width) // 2
    top = area.top + max(0, area.height - label - lower - gap - large.height - round(strip)) // 2
    cells, across = [Box.at(left, top, large)], float(left)
    second = top + large.height + label + gap
    for ratio in others:
        end = across + strip * ratio
        width_px = max(1, round(end) - round(across))
        cells.append(Box.at(round(across), second, (width_px, max(1, round(strip)))))
        across = end + gap
    return tuple(cells)
