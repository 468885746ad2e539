"""Wood, felt and turned men, drawn by code: deterministic and antialiased."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from functools import cache

from PIL import Image, ImageChops, ImageDraw, ImageFilter, ImageOps

from examples.morris.morris import Side

Colour = tuple[int, int, int]
Box = tuple[int, int, int, int]

OVERSAMPLING = 4
_GRAIN_CELLS = (320, 240)

# Darkest, middle and lightest tone of each material.
MAPLE = ((150, 104, 58), (205, 160, 104), (229, 192, 140))
WALNUT = ((52, 31, 20), (92, 58, 37), (126, 84, 55))
IVORY = ((176, 152, 112), (238, 224, 194), (255, 252, 240))
EBONY = ((10, 9, 12), (44, 40, 46), (122, 116, 126))
FELT = (24, 58, 56)


def noise(size: tuple[int, int], cells: tuple[int, int], seed: int) -> Image.Image:
    """Smooth grey noise of ``size`` pixels with a random grey in each of ``cells`` (columns, rows)."""
    raw = random.Random(seed).randbytes(cells[0] * cells[1])  # noqa: S311 - a pattern, not a secret
    return Image.frombytes("L", cells, raw).resize(size, Image.Resampling.BICUBIC)


@cache
def wood(size: tuple[int, int], tones: tuple[Colour, Colour, Colour], seed: int) -> Image.Image:
    """A board of wood with its grain along the width: year rings cut lengthwise, pores and a slow drift of tone.

    The caller must not draw on the result, which is kept for the next call: copy it.
    """
    width, height = size
    rings = _rings(seed).resize(size, Image.Resampling.BICUBIC)
    fibres = noise(size, (max(2, width // 90), height // 2), seed + 1)
    pores = noise(size, (max(2, width // 30), height), seed + 2).point(
        lambda grey: 110 if grey > 206 else 128
    )
    drift = noise(size, (3, 5), seed + 3)
    grain = Image.blend(Image.blend(rings, fibres, 0.34), drift, 0.22)
    grain = ImageChops.add(grain, pores, 1, -128)
    dark, middle, light = tones
    return ImageOps.colorize(grain, dark, light, middle, blackpoint=30, whitepoint=225, midpoint=132)


def _rings(seed: int) -> Image.Image:
    """Bands where a plane cuts a warped cylinder of year rings, at low resolution."""
    columns, rows = _GRAIN_CELLS
    warp = noise(_GRAIN_CELLS, (4, 7), seed).tobytes()
    values = bytearray(columns * rows)
    for row in range(rows):
        height = row / rows
        for column in range(columns):
            bend = warp[row * columns + column] / 255
            phase = height * 9 + bend * 3.2 + 0.5 * math.sin(column / columns * 2.4 + seed)
            ramp = phase - math.floor(phase)
            # A ring darkens slowly over the summer and ends sharply with the winter.
            values[row * columns + column] = int(205 - 130 * ramp**2.2)
    return Image.frombytes("L", _GRAIN_CELLS, bytes(values)).filter(ImageFilter.GaussianBlur(0.8))


def felt(size: tuple[int, int]) -> Image.Image:
    """A table cloth, lit from the upper left."""
    width, height = size
    weave = noise(size, (width // 2, height // 2), 71)
    base = ImageOps.colorize(weave, _scaled(FELT, 0.86), _scaled(FELT, 1.14))
    glow = Image.radial_gradient("L").resize((width * 2, height * 2), Image.Resampling.BILINEAR)
    left, top = round(width * 0.62), round(height * 0.68)
    light = ImageOps.invert(glow.crop((left, top, left + width, top + height))).point(
        lambda grey: grey * 0.75 + 40
    )
    return ImageChops.multiply(base, Image.merge("RGB", (light,) * 3)).point(
        lambda value: min(255, int(value * 1.35))
    )


def _scaled(colour: Colour, factor: float) -> Colour:
    red, green, blue = (min(255, round(channel * factor)) for channel in colour)
    return red, green, blue


def stamp(
    image: Image.Image,
    box: tuple[float, float, float, float],
    colour: Colour,
    paint: Callable[[ImageDraw.ImageDraw, Callable[[float, float], tuple[float, float]], float], None],
    *,
    opacity: float = 1.0,
    blur: float = 0.0,
) -> None:
    """Lays ``colour`` over ``image`` through a mask that ``paint`` draws, oversampled, inside ``box`` (pixels).

    ``paint`` is given the drawing, a function from image to drawing coordinates, and the scale between them.
    """
    left, top = math.floor(box[0] - 3 * blur - 1), math.floor(box[1] - 3 * blur - 1)
    right, bottom = math.ceil(box[2] + 3 * blur + 1), math.ceil(box[3] + 3 * blur + 1)
    scale = OVERSAMPLING if blur == 0 else 1
    mask = Image.new("L", ((right - left) * scale, (bottom - top) * scale))
    paint(ImageDraw.Draw(mask), lambda x, y: ((x - left) * scale, (y - top) * scale), scale)
    if blur:
        mask = mask.filter(ImageFilter.GaussianBlur(blur))
    mask = mask.reduce(scale) if scale > 1 else mask
    if opacity < 1:
        mask = mask.point(lambda value: int(value * opacity))
    image.paste(colour, (left, top), mask)


def line(
    image: Image.Image,
    start: tuple[float, float],
    end: tuple[float, float],
    colour: Colour,
    width: float,
    *,
    opacity: float = 1.0,
    blur: float = 0.0,
) -> None:
    """A straight stroke with round ends."""
    (x0, y0), (x1, y1) = start, end
    half = width / 2
    box = (min(x0, x1) - half, min(y0, y1) - half, max(x0, x1) + half, max(y0, y1) + half)

    def paint(
        draw: ImageDraw.ImageDraw, at: Callable[[float, float], tuple[float, float]], scale: float
    ) -> None:
        draw.line((at(x0, y0), at(x1, y1)), fill=255, width=round(width * scale))
        for x, y in (start, end):
            draw.ellipse((at(x - half, y - half), at(x + half, y + half)), fill=255)

    stamp(image, box, colour, paint, opacity=opacity, blur=blur)


def disc(
    image: Image.Image,
    centre: tuple[float, float],
    radius: float,
    colour: Colour,
    *,
    opacity: float = 1.0,
    blur: float = 0.0,
) -> None:
    """A filled circle."""
    ring(image, centre, radius, colour, radius, opacity=opacity, blur=blur)


def ring(
    image: Image.Image,
    centre: tuple[float, float],
    radius: float,
    colour: Colour,
    width: float,
    *,
    opacity: float = 1.0,
    blur: float = 0.0,
) -> None:
    """A circle of outer ``radius`` whose stroke of ``width`` lies inside it."""
    x, y = centre

    def paint(
        draw: ImageDraw.ImageDraw, at: Callable[[float, float], tuple[float, float]], scale: float
    ) -> None:
        draw.ellipse((at(x - radius, y - radius), at(x + radius, y + radius)), fill=255)
        inner = radius - width
        if inner > 0:
            draw.ellipse((at(x - inner, y - inner), at(x + inner, y + inner)), fill=0)

    stamp(image, (x - radius, y - radius, x + radius, y + radius), colour, paint, opacity=opacity, blur=blur)


def arrow(
    image: Image.Image,
    start: tuple[float, float],
    end: tuple[float, float],
    colour: Colour,
    width: float,
    *,
    both_ways: bool = False,
) -> None:
    """A straight arrow with a soft shadow, its point at ``end``, and another at ``start`` if ``both_ways``."""
    angle = math.atan2(end[1] - start[1], end[0] - start[0])
    head, half = width * 2.3, width / 2
    length = math.dist(start, end)
    tail = (
        [(head, half), (head, half * 3), (0.0, 0.0)] if both_ways else [(0.0, half * 0.6), (0.0, -half * 0.6)]
    )
    tip = [(length - head, -half), (length - head, -half * 3), (length, 0.0)]
    upper = [*tail, *tip] if not both_ways else [*tail, (head, -half * 3), (head, -half), *tip]
    outline = [
        (
            start[0] + along * math.cos(angle) - across * math.sin(angle),
            start[1] + along * math.sin(angle) + across * math.cos(angle),
        )
        for along, across in [*upper, (length - head, half * 3), (length - head, half)]
    ]
    polygon(image, [(x + 3, y + 5) for x, y in outline], (0, 0, 0), opacity=0.45, blur=4)
    polygon(image, outline, colour)


def polygon(
    image: Image.Image,
    corners: list[tuple[float, float]],
    colour: Colour,
    *,
    opacity: float = 1.0,
    blur: float = 0.0,
) -> None:
    """A filled polygon."""
    xs, ys = [x for x, _ in corners], [y for _, y in corners]

    def paint(
        draw: ImageDraw.ImageDraw, at: Callable[[float, float], tuple[float, float]], _scale: float
    ) -> None:
        draw.polygon([at(x, y) for x, y in corners], fill=255)

    stamp(image, (min(xs), min(ys), max(xs), max(ys)), colour, paint, opacity=opacity, blur=blur)


@cache
def man(side: Side, diameter: int) -> Image.Image:
    """A turned man seen from above, with its shadow, on a transparent square of 1.5 times ``diameter``.

    The caller must not draw on the result, which is kept for the next call.
    """
    scale = OVERSAMPLING if diameter <= 200 else 2
    side_px = round(diameter * 1.5)
    big, full = diameter * scale, side_px * scale
    offset = (full - big) // 2
    sprite = Image.new("RGBA", (full, full))
    sprite.putalpha(_shadow(full, offset, big))
    body, mask = _turned(side, big)
    sprite.paste(body, (offset, offset), mask)
    return sprite.reduce(scale)


def _shadow(full: int, offset: int, big: int) -> Image.Image:
    small = full // 8
    shadow = Image.new("L", (small, small))
    low, high, shift = offset / 8, (offset + big) / 8, big / 8 * 0.055
    ImageDraw.Draw(shadow).ellipse(
        (low + shift, low + shift * 1.6, high + shift, high + shift * 1.6), fill=185
    )
    blurred = shadow.filter(ImageFilter.GaussianBlur(big / 8 * 0.05))
    return blurred.resize((full, full), Image.Resampling.BICUBIC)


def _turned(side: Side, size: int) -> tuple[Image.Image, Image.Image]:
    """The man's disc and its mask: a rim, a groove, a shallow dish, and a lamp's reflection."""
    dark, middle, light = IVORY if side is Side.WHITE else EBONY
    body = _slope(size, dark, middle, light, reverse=False)
    dish = _slope(size, dark, middle, light, reverse=True)
    body.paste(dish, (0, 0), _round_mask(size, 0.70))
    body.paste(_scaled(middle, 0.99), (0, 0), _round_mask(size, 0.63))
    crown = _slope(size, dark, middle, light, reverse=False)
    body.paste(crown, (0, 0), _round_mask(size, 0.34))
    body.paste(_scaled(middle, 1.03), (0, 0), _round_mask(size, 0.27))
    body = Image.composite(body, Image.new("RGB", (size, size), _scaled(dark, 0.9)), _round_mask(size, 0.975))
    shine = Image.new("L", (size, size))
    spot = (size * 0.17, size * 0.10, size * 0.60, size * 0.40)
    ImageDraw.Draw(shine).ellipse(spot, fill=120 if side is Side.WHITE else 64)
    body.paste((255, 255, 255), (0, 0), shine.filter(ImageFilter.GaussianBlur(size * 0.05)))
    return body, _round_mask(size, 1.0)


def _slope(size: int, dark: Colour, middle: Colour, light: Colour, *, reverse: bool) -> Image.Image:
    """A square shaded as if lit from the upper left (or the lower right, for what slopes inwards)."""
    gradient = Image.linear_gradient("L").rotate(
        45 if reverse else -135, Image.Resampling.BICUBIC, fillcolor=128
    )
    inner = gradient.crop((36, 36, 220, 220)).resize((size, size), Image.Resampling.BICUBIC)
    return ImageOps.colorize(inner, dark, light, middle, blackpoint=40, whitepoint=215)


@cache
def _round_mask(size: int, part: float) -> Image.Image:
    mask = Image.new("L", (size, size))
    gap = size * (1 - part) / 2
    ImageDraw.Draw(mask).ellipse((gap, gap, size - 1 - gap, size - 1 - gap), fill=255)
    return mask


def place(
    image: Image.Image, sprite: Image.Image, centre: tuple[float, float], *, opacity: float = 1.0
) -> None:
    """Lays a sprite with alpha over ``image``, its middle at ``centre``."""
    mask = sprite.getchannel("A")
    if opacity < 1:
        mask = mask.point(lambda value: int(value * opacity))
    left, top = round(centre[0] - sprite.width / 2), round(centre[1] - sprite.height / 2)
    image.paste(sprite.convert("RGB"), (left, top), mask)
