"""Prints a picture among lines of text, as well as the terminal can show it. Without a screen of its own."""

from __future__ import annotations

import sys
from itertools import count
from secrets import randbelow

from rich.console import Console
from rich.text import Text

from previewops.stores.port import ArtifactFile
from previewops.tui.terminal.bundle_images import read_picture, read_pixels
from previewops.tui.terminal.capabilities import ImageMode
from previewops.tui.terminal.kitty import in_pieces
from previewops.tui.viewmodel.half_blocks import PIXELS_PER_ROW, UPPER, CellRun, half_block_rows

_BACKGROUND = (0, 0, 0)
_numbers = count(1 + randbelow(2**31))
"""Ids of Kitty images, from a random start: other programs use ids in the same terminal."""


def print_picture(console: Console, file: ArtifactFile, images: ImageMode, *, max_rows: int) -> None:
    """Prints a picture file at the width of the terminal, or at ``max_rows`` lines.

    ``images`` is the mode of ``prepare_graphics``; OFF prints nothing.

    Raises:
        PictureUnreadable: the picture cannot be read.
    """
    columns = console.width
    if images is ImageMode.BLOCKS:
        _print_blocks(console, file, columns, max_rows)
    elif images in (ImageMode.KITTY, ImageMode.SIXEL):
        _print_graphic(console, file, images, columns, max_rows)


def _print_blocks(console: Console, file: ArtifactFile, columns: int, rows: int) -> None:
    for row in half_block_rows(read_pixels(file, (columns, rows * PIXELS_PER_ROW), _BACKGROUND)):
        line = Text(no_wrap=True, end="\n")
        for run in row:
            line.append(
                (UPPER if run.lower is None or run.upper != run.lower else " ") * run.cells, _style(run)
            )
        console.print(line, crop=False, soft_wrap=True)


def _style(run: CellRun) -> str:
    upper, lower = run.upper, run.lower
    colour = f"#{upper[0]:02x}{upper[1]:02x}{upper[2]:02x}"
    if lower is None:
        return colour
    return f"{colour} on #{lower[0]:02x}{lower[1]:02x}{lower[2]:02x}"


def _print_graphic(console: Console, file: ArtifactFile, images: ImageMode, columns: int, rows: int) -> None:
    width, height = _cell_pixels()
    image = read_picture(file, (columns * width, rows * height), _BACKGROUND)
    wide, high = max(1, round(image.width / width)), max(1, round(image.height / height))
    if images is ImageMode.SIXEL:
        console.print(sys.modules["textual_image.renderable"].__dict__["SixelImage"](image))
        return
    number = next(_numbers)
    placed = f"\x1b_Ga=p,i={number},c={wide},r={high},C=1,q=2\x1b\\"  # C=1: the cursor stays
    console.file.write(in_pieces(number, image) + placed + "\n" * high)
    console.file.flush()


def _cell_pixels() -> tuple[int, int]:
    """Size of a terminal cell in pixels; ``prepare_graphics`` has imported the library."""
    width, height = sys.modules["textual_image.widget"].__dict__["get_cell_size"]()
    return width, height
