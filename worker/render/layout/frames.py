"""The layout of a frame: boxes and fitted text, before any picture is decoded or drawn."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from previewops.worker.render.layout.geometry import Box, Size
from previewops.worker.render.storyboard import Asset
from previewops.worker.render.text.typesetting import TextBlock

Role = Literal["ink", "muted", "accent_ink", "on_accent", "faint", "on_picture"]
Align = Literal["text", "start", "centre", "end"]
_LOGO_DETAIL = 3


@dataclass(frozen=True, slots=True)
class PlacedText:
    """A text block, its column and its colour role.

    ``align``: ``text`` aligns by the text's own direction, ``start`` and ``end`` by the direction of the frame.
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
        """Horizontal position of the block in its column, and of lines in the block: 0 is left, 1 is right."""
        if self.align == "centre":
            return 0.5
        if self.align == "text":
            return float(bool(self.block.lines) and self.block.lines[0].rtl)
        return float((self.align == "end") != mirrored)


def centred_text(block: TextBlock, area: Box, role: Role) -> PlacedText:
    """Places a text in the middle of ``area``."""
    top = area.top + (area.height - block.height) // 2
    return PlacedText(block, area.left, area.right, top, role, "centre")


@dataclass(frozen=True, slots=True)
class Placement:
    """A picture on a frame: ``cell`` is its panel, ``box`` the area of the picture itself.

    ``bleeds``: the picture extends to the edges of the frame and has square corners. ``has_backdrop``: a blurred copy
    of the picture fills the rest of the cell, instead of a panel.
    """

    asset: Asset
    cell: Box
    box: Box
    crops: bool
    bleeds: bool = False
    has_backdrop: bool = False

    def decode_size(self, shape: Size) -> Size:
        """The size to decode the picture (of size ``shape``) at, pixels."""
        return shape.covering(self.box.size) if self.crops else self.box.size


@dataclass(frozen=True, slots=True)
class LogoPlace:
    """The largest box of the logo, which is drawn at its left or right side.

    ``on_picture``, and where the background would hide it, it has a plate larger by ``padding`` on every side.
    """

    box: Box
    padding: int
    at_left: bool
    on_picture: bool

    @property
    def decode_size(self) -> Size:
        """The size to decode the logo at, pixels: what its transparent margins leave has to fill the box."""
        return Size(self.box.width * _LOGO_DETAIL, self.box.height * _LOGO_DETAIL)


@dataclass(frozen=True, slots=True)
class FrameLayout:
    """One frame.

    ``badge`` is the box of the step number, ``more_box`` that of the count of omitted pictures, ``bar`` the line
    above the title of a title card, ``ornament`` the decoration of a title card without a picture. ``scrim`` is the
    y coordinate below which the picture is darkened under text. ``logo`` and ``footer`` are the brand's.
    ``mirrored``: the frame runs from right to left.
    """

    duration_ms: int
    texts: tuple[PlacedText, ...] = ()
    placements: tuple[Placement, ...] = ()
    badge: Box | None = None
    bar: Box | None = None
    more_box: Box | None = None
    ornament: Box | None = None
    scrim: int | None = None
    logo: LogoPlace | None = None
    footer: PlacedText | None = None
    foot: int = 0  # height that they take below the progress bar, with the space above them
    position: int = 0  # steps that the progress bar shows as started
    truncated: bool = False  # whether a text was truncated
    mirrored: bool = False


def mirror_frame(layout: FrameLayout, width: int) -> FrameLayout:
    """Mirrors the boxes of a frame for right-to-left text; pictures and text are not mirrored."""

    def flip(box: Box) -> Box:
        return Box(width - box.right, box.top, width - box.left, box.bottom)

    def other(box: Box | None) -> Box | None:
        return flip(box) if box else None

    def other_text(text: PlacedText) -> PlacedText:
        return replace(text, left=width - text.right, right=width - text.left)

    logo = layout.logo
    return replace(
        layout,
        texts=tuple(map(other_text, layout.texts)),
        placements=tuple(
            replace(place, cell=flip(place.cell), box=flip(place.box)) for place in layout.placements
        ),
        badge=other(layout.badge),
        bar=other(layout.bar),
        more_box=other(layout.more_box),
        ornament=other(layout.ornament),
        logo=replace(logo, box=flip(logo.box), at_left=not logo.at_left) if logo else None,
        footer=other_text(layout.footer) if layout.footer else None,
        mirrored=True,
    )
