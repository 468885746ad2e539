"""Images of half blocks: each cell shows two pixels, one above the other. Pure: bytes in, cells out."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby

UPPER = "▀"
PIXELS_PER_ROW = 2
"""A terminal cell is about twice as high as wide, so that half of it is about a square."""

Colour = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Pixels:
    """An image. ``data`` contains RGB bytes of each pixel, row by row from the top."""

    width: int
    height: int
    data: bytes

    def at(self, x: int, y: int) -> Colour:
        place = (y * self.width + x) * 3
        return self.data[place], self.data[place + 1], self.data[place + 2]


@dataclass(frozen=True, slots=True)
class CellRun:
    """``cells`` equal cells side by side: colour of the upper and of the lower half (None: none)."""

    cells: int
    upper: Colour
    lower: Colour | None


def fit_size(width: int, height: int, most_width: int, most_height: int) -> tuple[int, int]:
    """The largest size in pixels with that aspect ratio that fits; never enlarged, at least one pixel."""
    scale = min(1.0, most_width / max(1, width), most_height / max(1, height))
    return max(1, round(width * scale)), max(1, round(height * scale))


def half_block_rows(pixels: Pixels) -> list[list[CellRun]]:
    """The image as rows of cells, two pixel rows each."""
    return [_row(pixels, y) for y in range(0, pixels.height, PIXELS_PER_ROW)]


def _row(pixels: Pixels, y: int) -> list[CellRun]:
    below = y + 1 < pixels.height
    cells = ((pixels.at(x, y), pixels.at(x, y + 1) if below else None) for x in range(pixels.width))
    return [CellRun(len(list(run)), *cell) for cell, run in groupby(cells)]
