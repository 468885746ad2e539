"""A picture in the graphics of the terminal itself. What draws them has been imported before the screen started."""

from __future__ import annotations

import io
import sys
from base64 import b64encode
from dataclasses import dataclass
from itertools import count
from secrets import randbelow
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.control import Control
from rich.segment import ControlType, Segment
from textual.app import ComposeResult
from textual.containers import Container
from textual.geometry import Region
from textual.strip import Strip
from textual.widget import Widget

from previewops.tui.terminal.capabilities import ImageMode

if TYPE_CHECKING:
    from PIL.Image import Image

_SIXEL_BEGINS = "\x1bP"

_PIECE = 4096
"""The most characters that one message of Kitty's protocol carries."""

_numbers = count(1 + randbelow(2**31))
"""Of Kitty's pictures: from a number at random on, as other programs have shown theirs in the same terminal."""


class Graphic(Container, can_focus=True):
    """Shows one picture in the middle, or nothing.

    A picture is made ready in a thread, as that takes a while, and then shown on the event loop.
    """

    DEFAULT_CSS = """
    Graphic { height: 1fr; width: 1fr; align: center middle; background: $background; }
    Graphic > * { width: auto; height: auto; }
    """

    def cell_pixels(self) -> tuple[int, int]:
        """How wide and high a cell of this terminal is."""
        width, height = sys.modules["textual_image.widget"].__dict__["get_cell_size"]()
        return width, height

    def prepare(self, image: Image) -> Any:
        """The picture as ``show`` takes it. Called in a thread."""
        raise NotImplementedError

    def show(self, prepared: Any) -> None:
        """Shows a picture that has been made ready, or nothing for None."""
        raise NotImplementedError


@dataclass(frozen=True)
class KittyPicture:
    """A picture as Kitty's protocol has it: a number, what sends it, and the lines that stand for its cells."""

    number: int
    message: str
    lines: tuple[Strip, ...]


class KittyGraphic(Graphic):
    """By Kitty's protocol: the picture is sent once, and placed by characters that stand for its cells.

    The library's own widget encodes and sends on the event loop, which would hold up keys for 0.1 s.
    """

    def __init__(self) -> None:
        super().__init__()
        self._cells = _Cells()
        self._sent: int | None = None

    def compose(self) -> ComposeResult:
        yield self._cells

    def prepare(self, image: Image) -> KittyPicture:
        number = next(_numbers)
        drawing = sys.modules["textual_image.renderable.tgp"].__dict__["Image"](image)
        drawing.terminal_image_id = number  # so it takes the picture for sent, and draws its cells only
        width, height = self.cell_pixels()
        console = Console(
            width=max(1, round(image.width / width)), height=max(1, round(image.height / height))
        )
        lines = tuple(
            Strip([Segment(part.text.rstrip("\n"), part.style)], console.width)
            for part in drawing.__rich_console__(console, console.options)
        )
        placed = f"\x1b_Ga=p,i={number},c={console.width},r={len(lines)},U=1,q=2\x1b\\"
        return KittyPicture(number, _in_pieces(number, image) + placed, lines)

    def show(self, prepared: KittyPicture | None) -> None:
        number = None if prepared is None else prepared.number
        if number != self._sent:
            freed = "" if self._sent is None else f"\x1b_Ga=d,d=I,i={self._sent},q=2\x1b\\"
            self._send(freed + ("" if prepared is None else prepared.message))
            self._sent = number
        self._cells.show(() if prepared is None else prepared.lines)

    def on_unmount(self) -> None:
        self.show(None)  # the terminal outlives the program, and would keep what it was sent

    def _send(self, message: str) -> None:
        driver = self.app._driver  # what is drawn goes through it too, so both come in order and whole
        if driver is not None:
            driver.write(message)


def _in_pieces(number: int, image: Image) -> str:
    """What sends a picture to the terminal."""
    png = io.BytesIO()
    image.save(png, "PNG")
    data = b64encode(png.getvalue()).decode()
    starts = range(0, len(data), _PIECE)
    return "".join(
        f"\x1b_Gi={number},f=100,q=2,m={int(start != starts[-1])};{data[start : start + _PIECE]}\x1b\\"
        for start in starts
    )


class _Cells(Widget):
    """Lines of characters that the terminal draws a picture's cells in place of."""

    def __init__(self) -> None:
        super().__init__()
        self._lines: tuple[Strip, ...] = ()

    def show(self, lines: tuple[Strip, ...]) -> None:
        """Shows them, or nothing."""
        self._lines = lines
        self.styles.width = lines[0].cell_length if lines else 0
        self.styles.height = len(lines)
        self.refresh(layout=True)

    def render_line(self, y: int) -> Strip:
        if y >= len(self._lines):
            return Strip.blank(self.size.width, self.rich_style)
        return self._lines[y].apply_style(self.rich_style)


class SixelGraphic(Graphic):
    """By Sixel. The library's own widget encodes on the event loop, which would hold up keys for 0.3 s."""

    def __init__(self) -> None:
        super().__init__()
        self._sixels = _Sixels()

    def compose(self) -> ComposeResult:
        yield self._sixels

    def prepare(self, image: Image) -> tuple[str, int, int]:
        width, height = self.cell_pixels()
        columns, rows = max(1, round(image.width / width)), max(1, round(image.height / height))
        drawing = sys.modules["textual_image.renderable"].__dict__["SixelImage"](image)
        console = Console(width=columns, height=rows)
        parts = [
            part.text for part in drawing.__rich_console__(console, console.options) if hasattr(part, "text")
        ]
        return next(text for text in parts if text.startswith(_SIXEL_BEGINS)), columns, rows

    def show(self, prepared: tuple[str, int, int] | None) -> None:
        self._sixels.show(*prepared or ("", 0, 0))


class _Sixels(Widget):
    """Puts a picture's Sixels where it stands: the last of its lines carries them, and moves to its first cell."""

    def __init__(self) -> None:
        super().__init__()
        self._data = ""

    def show(self, data: str, columns: int, rows: int) -> None:
        """Shows them in so many cells."""
        self._data = data
        self.styles.width, self.styles.height = columns, rows
        self.refresh(layout=True)

    def render_lines(self, crop: Region) -> list[Strip]:
        # A dialog in front is drawn over this; Sixels below it would shine through. Nor can a part of them be drawn.
        if not self._data or not self.screen.is_active or crop.size != self.size:
            return [Strip.blank(crop.width, self.rich_style) for _ in range(crop.height)]
        place = self.region
        drawn = [
            Segment(Control.move_to(place.x, place.y).segment.text),
            Segment(self._data, control=((ControlType.CURSOR_FORWARD, 0),)),
            Segment(Control.move_to(place.right, place.bottom).segment.text),
        ]
        return [*[Strip([])] * (crop.height - 1), Strip(drawn, crop.width)]


def make_graphic(images: ImageMode) -> Graphic | None:
    """What draws pictures in that way; None where half blocks do, or nothing."""
    return {ImageMode.KITTY: KittyGraphic, ImageMode.SIXEL: SixelGraphic}.get(images, lambda: None)()
