"""A picture in the graphics of the terminal itself. What draws them has been imported before the screen started."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.control import Control
from rich.segment import ControlType, Segment
from textual.app import ComposeResult
from textual.containers import Container
from textual.geometry import Region
from textual.strip import Strip
from textual.widget import Widget

from previewops.tui.terminal import Images

if TYPE_CHECKING:
    from PIL.Image import Image

_SIXEL_BEGINS = "\x1bP"


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

    def prepared(self, image: Image) -> Any:
        """The picture as ``show`` takes it. Called in a thread."""
        raise NotImplementedError

    def show(self, prepared: Any) -> None:
        """Shows a picture that has been made ready, or nothing for None."""
        raise NotImplementedError


class KittyGraphic(Graphic):
    """By Kitty's protocol: the picture is sent once, and placed by characters that stand for its cells."""

    def __init__(self) -> None:
        super().__init__()
        self._widget = sys.modules["textual_image.widget"].__dict__["TGPImage"]()

    def compose(self) -> ComposeResult:
        yield self._widget

    def prepared(self, image: Image) -> Image:
        return image

    def show(self, prepared: Image | None) -> None:
        self._widget.image = prepared


class SixelGraphic(Graphic):
    """By Sixel. The library's own widget encodes on the event loop, which would hold up keys for 0.3 s."""

    def __init__(self) -> None:
        super().__init__()
        self._sixels = _Sixels()

    def compose(self) -> ComposeResult:
        yield self._sixels

    def prepared(self, image: Image) -> tuple[str, int, int]:
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


def graphic_of(images: Images) -> Graphic | None:
    """What draws pictures in that way; None where half blocks do, or nothing."""
    return {Images.KITTY: KittyGraphic, Images.SIXEL: SixelGraphic}.get(images, lambda: None)()
