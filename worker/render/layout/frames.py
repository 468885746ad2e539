"""What a frame is once it is laid out: boxes and fitted text, before a pixel is drawn or decoded."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from previewops.worker.render.layout.geometry import Box, Size
from previewops.worker.render.storyboard import Asset
from previewops.worker.render.text.typesetting import TextBlock

Role = Literal["ink", "muted", "accent", "on_accent", "faint", "on_picture"]
Align = Literal["text", "start", "centre", "end"]


@dataclass(frozen=True, slots=True)
class PlacedText:
    """A text block, the column that it stands in, and which of the theme's colours it has.

    ``align``: ``text`` is the side on which its own script begins, ``start`` that on which the frame begins.
    """

    block: TextBlock
    left: int
    right: int
    top: int
    role: Role
    align: Align = "text"

    @property
    def bottom(self) -> int:
        return self.top + self.block.height

    def align_fraction(self, *, mirrored: bool) -> float:
        """Where the block lies in its column, and lines in the block: 0 at the left, 1 at the right."""
        if self.align == "centre":
            return 0.5
        if self.align == "text":
            return float(bool(self.block.lines) and self.block.lines[0].rtl)
        return float((self.align == "end") != mirrored)


@dataclass(frozen=True, slots=True)
class Placement:
    """A picture on a frame: ``cell`` is its panel, ``box`` where the picture itself is drawn.

    ``bleeds``: the picture runs to the edges of the frame, and has square corners. ``fills``: what it leaves free
    of its cell is filled with itself, blurred and dimmed, rather than with a panel.
    """

    asset: Asset
    cell: Box
    box: Box
    crops: bool
    bleeds: bool = False
    has_backdrop: bool = False

    def decode_size(self, shape: Size) -> Size:
        """The size at which the whole picture (of ``shape``) is wanted, pixels."""
        return shape.covering(self.box.size) if self.crops else self.box.size


@dataclass(frozen=True, slots=True)
class FrameLayout:
    """One frame.

    ``badge`` is the box of the step's number, ``more`` that of pictures left out, ``bar`` the short stroke above
    a title card's title, ``ornament`` the area for decoration where a title card has no picture. ``scrim`` is how
    far down the darkening of a picture begins that words lie on. ``mirrored``: the frame begins at the right.
    """

    duration_ms: int
    texts: tuple[PlacedText, ...] = ()
    placements: tuple[Placement, ...] = ()
    badge: Box | None = None
    bar: Box | None = None
    more_box: Box | None = None
    ornament: Box | None = None
    scrim: int | None = None
    position: int = 0  # steps that the rail shows as begun
    truncated: bool = False  # whether some text was cut
    mirrored: bool = False


def mirror_frame(layout: FrameLayout, width: int) -> FrameLayout:
    """The frame for readers from right to left: everything on the other side, nothing turned round."""

    def flip(box: Box) -> Box:
        return Box(width - box.right, box.top, width - box.left, box.bottom)

    def other(box: Box | None) -> Box | None:
        return flip(box) if box else None

    return replace(
        layout,
        texts=tuple(replace(text, left=width - text.right, right=width - text.left) for text in layout.texts),
        placements=tuple(
            replace(place, cell=flip(place.cell), box=flip(place.box)) for place in layout.placements
        ),
        badge=other(layout.badge),
        bar=other(layout.bar),
        more_box=other(layout.more_box),
        ornament=other(layout.ornament),
        mirrored=True,
    )
