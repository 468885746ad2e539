"""Antialiased rounded boxes and backdrops; Pillow draws rounded boxes without antialiasing."""

from __future__ import annotations

from functools import lru_cache

from PIL import Image, ImageChops, ImageDraw, ImageFilter

from previewops.worker.render.layout.geometry import Box, Size
from previewops.worker.render.theme import Colour

SCRIM: Colour = (10, 11, 14)  # colour that darkens a picture under text
_OVERSAMPLING = 4


@lru_cache(maxsize=32)
def _corner(radius: int) -> Image.Image:
    """Returns the coverage of the top left corner as an 8-bit mask of radius x radius."""
    big = radius * _OVERSAMPLING
    corner = Image.new("L", (big, big), 0)
    ImageDraw.Draw(corner).ellipse((0, 0, 2 * big - 1, 2 * big - 1), fill=255)
    return corner.resize((radius, radius), Image.Resampling.BOX)


@lru_cache(maxsize=32)
def rounded_mask(size: Size, radius: int) -> Image.Image:
    """Returns the coverage of a rounded box of ``size`` as an 8-bit mask."""
    radius = max(0, min(radius, size.short // 2))
    mask = Image.new("L", size, 255)
    if radius:
        corner, right, bottom = _corner(radius), size.width - radius, size.height - radius
        mask.paste(corner, (0, 0))
        mask.paste(corner.transpose(Image.Transpose.FLIP_LEFT_RIGHT), (right, 0))
        mask.paste(corner.transpose(Image.Transpose.FLIP_TOP_BOTTOM), (0, bottom))
        mask.paste(corner.transpose(Image.Transpose.ROTATE_180), (right, bottom))
    return mask


def fill_rounded(image: Image.Image, box: Box, radius: int, colour: Colour, opacity: float = 1.0) -> None:
    """Fills a rounded box; ``opacity`` is 0..1."""
    mask = rounded_mask(box.size, radius)
    if opacity < 1:
        mask = mask.point([round(value * opacity) for value in range(256)])
    image.paste(colour, box, mask)


def dash_rounded(image: Image.Image, box: Box, radius: int, colour: Colour, *, width: int, dash: int) -> None:
    """Draws the outline of a rounded box: dashed sides and solid corners."""
    ring = Image.new("L", box.size, 255)
    inner = box.inset(width)
    ring.paste(0, (width, width), rounded_mask(inner.size, max(0, radius - width)))
    ring = ImageChops.multiply(ring, rounded_mask(box.size, radius))
    canvas = ImageDraw.Draw(ring)
    for length, other, across in ((box.width, box.height, True), (box.height, box.width, False)):
        count = max(0, (length - 2 * radius - dash) // (2 * dash))
        step = (length - 2 * radius) / (2 * count + 1)
        for index in range(count):
            start = round(radius + step * (2 * index + 1))
            end = max(start, round(start + step) - 1)
            for near, far in ((0, width - 1), (other - width, other)):
                canvas.rectangle((start, near, end, far) if across else (near, start, far, end), fill=0)
    image.paste(colour, box, ring)


def darken(image: Image.Image, top: int, ramp: int, strongest: float) -> None:
    """Darkens ``image`` below ``top`` by ``strongest`` (0..1); the gradient starts ``ramp`` pixels above."""
    start = max(0, top - ramp)
    shares = (min(1.0, (row + 1) / max(1, top - start)) for row in range(image.height - start))
    column = bytes(round(255 * strongest * (share * share * (3 - 2 * share))) for share in shares)
    mask = Image.frombytes("L", (1, len(column)), column).resize((image.width, len(column)))
    image.paste(SCRIM, (0, start, image.width, image.height), mask)


def blur_to_fill(picture: Image.Image, size: Size, share: float) -> Image.Image:
    """Returns ``picture`` blurred, cropped to ``size`` and darkened by ``share`` (0..1)."""
    shape = Size(*picture.size)
    covering = shape.covering(size)
    across = shape.width * size.width / covering.width
    down = shape.height * size.height / covering.height
    left, top = (shape.width - across) / 2, (shape.height - down) / 2
    part = (left, top, min(shape.width, left + across), min(shape.height, top + down))
    tiny = picture.convert("RGB").resize(size.fitted(Size(48, 48)), Image.Resampling.BOX, box=part)
    soft = tiny.filter(ImageFilter.GaussianBlur(2))
    return Image.blend(soft, Image.new("RGB", soft.size, SCRIM), share).resize(size, Image.Resampling.BICUBIC)


def draw_panel(
    image: Image.Image, box: Box, radius: int, *, fill: Colour, line: Colour, hairline: int
) -> None:
    """Draws a filled rounded box with a hairline border."""
    fill_rounded(image, box, radius, line)
    fill_rounded(image, box.inset(hairline), max(0, radius - hairline), fill)


def paste_rounded(image: Image.Image, picture: Image.Image, box: Box, radius: int) -> None:
    """Pastes an opaque ``picture`` of the size of ``box`` with rounded corners."""
    image.paste(picture, box, rounded_mask(box.size, radius) if radius else None)
