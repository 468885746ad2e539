"""Where pictures go: boxes for any number of them in any area. Pure geometry."""

from __future__ import annotations

from collections.abc import Sequence

from previewops.worker.render.geometry import Box, Size


def arrange(area: Box, shapes: Sequence[Size], layout: str, gap: int, smallest: int) -> tuple[Box, ...]:
    """A cell for each of ``shapes``, in order, inside ``area``.

    ``layout`` is full or focus (the first large, the others beside it), split (one row or one column), grid, or
    auto (chosen by their number). No cell is shorter than ``smallest`` pixels, unless it is the only one: where
    there is no room the layout becomes a grid, and where there is none for that, fewer cells than shapes come back.
    """
    if not shapes:
        return ()
    for count in range(len(shapes), 1, -1):
        for tried in dict.fromkeys((layout, "grid")):
            cells = _cells(area, shapes[:count], tried, gap)
            if min(cell.size.short for cell in cells) >= smallest:
                return cells
    return (area,)


def gather(area: Box, sizes: Sequence[Size], gap: int, *, in_row: bool) -> tuple[Box, ...]:
    """Boxes of ``sizes`` in one row, of equal height, or one column, of equal width, in the middle of ``area``."""
    widest, tallest = max(size.width for size in sizes), max(size.height for size in sizes)
    gaps = gap * (len(sizes) - 1)
    if in_row:
        group = area.centred(Size(sum(size.width for size in sizes) + gaps, tallest))
    else:
        group = area.centred(Size(widest, sum(size.height for size in sizes) + gaps))
    boxes: list[Box] = []
    left, top = group.left, group.top
    for size in sizes:
        boxes.append(Box.at(left, top, (size.width, tallest) if in_row else (widest, size.height)))
        left, top = (left + size.width + gap, top) if in_row else (left, top + size.height + gap)
    return tuple(boxes)


def _cells(area: Box, shapes: Sequence[Size], layout: str, gap: int) -> tuple[Box, ...]:
    if layout in ("full", "focus"):
        return _focus(area, shapes, gap)
    if layout == "split" or (layout == "auto" and len(shapes) == 2):
        row, column = _rows(area, [len(shapes)], gap), _rows(area, [1] * len(shapes), gap)
        return max((row, column), key=lambda cells: _shown(cells, shapes))
    candidates = (_rows(area, _balanced(len(shapes), rows), gap) for rows in range(1, len(shapes) + 1))
    return max(candidates, key=lambda cells: _shown(cells, shapes))


def _shown(cells: Sequence[Box], shapes: Sequence[Size]) -> float:
    """How well ``cells`` serve ``shapes``: the area in which whole pictures are seen, and the smallest of it."""
    areas = [shape.fitted(cell.size).pixels for cell, shape in zip(cells, shapes, strict=True)]
    return sum(areas) + 2 * len(areas) * min(areas)


def _balanced(count: int, rows: int) -> list[int]:
    """``count`` over ``rows``, as even as can be, the longer rows first."""
    each, rest = divmod(count, rows)
    return [each + 1] * rest + [each] * (rows - rest)


def _rows(area: Box, counts: Sequence[int], gap: int) -> tuple[Box, ...]:
    cells: list[Box] = []
    for top, bottom in _spans(area.top, area.bottom, len(counts), gap):
        count = counts[len({cell.top for cell in cells})]
        cells += [Box(left, top, right, bottom) for left, right in _spans(area.left, area.right, count, gap)]
    return tuple(cells)


def _spans(start: int, end: int, count: int, gap: int) -> list[tuple[int, int]]:
    """``count`` spans from ``start`` to ``end``, ``gap`` apart, that differ by a pixel at most and are not empty."""
    room = max(count, end - start - gap * (count - 1))
    edges = [start + room * index // count + gap * index for index in range(count)]
    return [
        (edge, edge + room * (index + 1) // count - room * index // count) for index, edge in enumerate(edges)
    ]


def _focus(area: Box, shapes: Sequence[Size], gap: int) -> tuple[Box, ...]:
    """The first large, the others in one strip: beside it or below, whichever shows more of the first."""
    if len(shapes) == 1:
        return (area,)
    width, height = round(area.width * 0.7), round(area.height * 0.7)
    beside = Box(area.left, area.top, area.left + width, area.bottom)
    column = Box(beside.right + gap, area.top, area.right, area.bottom)
    above = Box(area.left, area.top, area.right, area.top + height)
    strip = Box(area.left, above.bottom + gap, area.right, area.bottom)
    others = len(shapes) - 1
    options = (
        (beside, *_rows(column, [1] * others, gap)),
        (above, *_rows(strip, [others], gap)),
    )
    return max(options, key=lambda cells: shapes[0].fitted(cells[0].size).pixels)
