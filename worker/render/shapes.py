"""Rounded boxes with smooth edges; Pillow's own are drawn without antialiasing."""

from __future__ import annotations

from functools import lru_cache

from PIL import Image, ImageDraw

from previewops.worker.render.geometry import Box, Size
from previewops.worker.render.theme import Colour

_OVERSAMPLING = 4


@lru_cache(maxsize=32)
def _corner(radius: int) -> Image.Image:
    """Coverage of the top left corner of a rounded box, as an 8-bit mask of radius x radius."""
    big = radius * _OVERSAMPLING
    corner = Image.new("L", (big, big), 0)
    ImageDraw.Draw(corner).ellipse((0, 0, 2 * big - 1, 2 * big - 1), fill=255)
    return corner.resize((radius, radius), Image.Resampling.BOX)


@lru_cache(maxsize=32)
def rounded_mask(size: Size, radius: int) -> Image.Image:
    """Coverage of a rounded box of ``size``, as an 8-bit mask."""
    radius = max(0, min(radius, size.short // 2))
    mask = Image.new("L", size, 255)
    if radius:
        corner = _corner(radius)
        flipped = corner.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        mask.paste(corner, (0, 0))
        mask.paste(flipped, (size.width - radius, 0))
        mask.paste(corner.transpose(Image.Transpose.FLIP_TOP_BOTTOM), (0, size.height - radius))
        mask.paste(
            flipped.transpose(Image.Transpose.FLIP_TOP_BOTTOM), (size.width - radius, size.height - radius)
        )
    return mask


def fill_rounded(image: Image.Image, box: Box, radius: int, colour: Colour) -> None:
    """A filled rounded box."""
    image.paste(colour, box, rounded_mask(box.size, radius))


def panel(image: Image.Image, box: Box, radius: int, *, fill: Colour, line: Colour, hairline: int) -> None:
    """A filled rounded box with a thin edge."""
    fill_rounded(image, box, radius, line)
    fill_rounded(image, box.inset(hairline), max(0, radius - hairline), fill)


def paste_rounded(image: Image.Image, picture: Image.Image, box: Box, radius: int) -> None:
    """``picture``, which has the size of ``box``, with rounded corners; what shows through, shows through."""
    if radius == 0 and picture.mode == "RGB":
        image.paste(picture, box)
        return
    corners = rounded_mask(box.size, radius)
    if picture.mode == "RGBA":
        layer = Image.new("L", box.size, 0)
        layer.paste(picture.getchannel("A"), (0, 0), corners)
        image.paste(picture.convert("RGB"), box, layer)
    else:
        image.paste(picture, box, corners)
