"""An image in the terminal's graphics protocol. The library is imported before the screen starts."""

from __future__ import annotations

import sys
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
from previewops.tui.terminal.kitty import in_pieces

if TYPE_CHECKING:
    from PIL.Image import Image

_SIXEL_BEGINS = "\x1bP"

_numbers = count(1 + randbelow(2**31))
"""Ids of Kitty images, from a random start: other programs use ids in the same terminal."""


class Graphic(Container, can_focus=True):
    """Shows one image in its centre, or nothing.

    Preparing an image is slow and done in a thread. Showing it is done on the event loop.
    """

    DEFAULT_CSS = """
    Graphic { height: 1fr; width: 1fr; align: center middle; background: $background; }
    Graphic > * { width: auto; height: auto; }
    """

    def cell_pixels(self) -> tuple[int, int]:
        """Size of a terminal cell in pixels."""
        width, height = sys.modules["textual_image.widget"].__dict__["get_cell_size"]()
        return width, height

    def prepare(self, image: Image) -> Any:
        """Prepares an image for ``show``. Call it in a thread."""
        raise NotImplementedError

    def show(self, prepared: Any) -> None:
        """Shows a prepared image, or nothing for None."""
        raise NotImplementedError


@dataclass(frozen=True)
class KittyPicture:
    """An image for Kitty's protocol: its id, the message that sends it, and its placeholder lines."""

    number: int
    message: str
    lines: tuple[Strip, ...]


class KittyGraphic(Graphic):
    """Kitty's protocol: the image is sent once, and placed by placeholder characters.

    The library's own widget encodes and sends on the event loop, which would block keys for 0.1 s.
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
        drawing.terminal_image_id = number  # marks it as sent, so that only its placeholder cells are drawn
        width, height = self.cell_pixels()
        console = Console(
            width=max(1, round(image.width / width)), height=max(1, round(image.height / height))
        )
        lines = tuple(
            Strip([Segment(part.text.rstrip("\n"), part.style)], console.width)
            for part in drawing.__rich_console__(console, console.options)
        )
        placed = f"\x1b_Ga=p,i={number},c={console.width},r={len(lines)},U=1,q=2\x1b\\"
        return KittyPicture(number, in_pieces(number, image) + placed, lines)

    def show(self, prepared: KittyPicture | None) -> None:
        number = None if prepared is None else prepared.number
        if number != self._sent:
            freed = "" if self._sent is None else f"\x1b_Ga=d,d=I,i={self._sent},q=2\x1b\\"
            self._send(freed + ("" if prepared is None else prepared.message))
            self._sent = number
        self._cells.show(() if prepared is None else prepared.lines)

    def on_unmount(self) -> None:
        self.show(None)  # the terminal outlives the program, and would keep the image

    def _send(self, message: str) -> None:
        driver = self.app._driver  # Textual writes through it too, so messages stay whole and in order
        if driver is not None:
            driver.write(message)


class _Cells(Widget):
    """Lines of placeholder characters, which the terminal replaces by the image."""

    def __init__(self) -> None:
        super().__init__()
        self._lines: tuple[Strip, ...] = ()

    def show(self, lines: tuple[Strip, ...]) -> None:
        self._lines = lines
        self.styles.width = lines[0].cell_length if lines else 0
        self.styles.height = len(lines)
        self.refresh(layout=True)

    def render_line(self, y: int) -> Strip:
        if y >= len(self._lines):
            return Strip.blank(self.size.width, self.rich_style)
        return self._lines[y].apply_style(self.rich_style)


class SixelGraphic(Graphic):
    """Sixel. The library's own widget encodes on the event loop, which would block keys for 0.3 s."""

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
    """Draws Sixel data: the last line contains them, and moves to the image's first cell."""

    def __init__(self) -> None:
        super().__init__()
        self._data = ""

    def show(self, data: str, columns: int, rows: int) -> None:
        self._data = data
        self.styles.width, self.styles.height = columns, rows
        self.refresh(layout=True)

    def render_lines(self, crop: Region) -> list[Strip]:
        # Sixels would show through a dialog above this widget, and cannot be drawn in part.
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
    """The widget for an image mode; None for half blocks and no images."""
    return {ImageMode.KITTY: KittyGraphic, ImageMode.SIXEL: SixelGraphic}.get(images, lambda: None)()
