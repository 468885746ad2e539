"""Landscapes for tests: deterministic, with sky, ridges and a sun."""

from __future__ import annotations

import math
import random
from functools import cache

from PIL import Image, ImageDraw

Colour = tuple[int, int, int]

_HOURS: tuple[tuple[Colour, Colour, Colour], ...] = (
    ((58, 96, 150), (232, 196, 170), (24, 40, 44)),
    ((120, 170, 210), (235, 240, 240), (40, 80, 60)),
    ((40, 30, 70), (230, 120, 90), (20, 16, 34)),
    ((150, 190, 200), (250, 230, 210), (90, 60, 60)),
)


@cache
def landscape(size: tuple[int, int], hour: int) -> Image.Image:
    """Draws ridges under the sky of one of four hours, RGB."""
    width, height = size
    top, horizon, near = _HOURS[hour % len(_HOURS)]
    rng = random.Random(hour)
    image = Image.composite(
        Image.new("RGB", size, horizon), Image.new("RGB", size, top), Image.linear_gradient("L").resize(size)
    )
    canvas = ImageDraw.Draw(image)
    radius = 0.07 * min(size)
    x, y = 0.68 * width, 0.22 * height
    canvas.ellipse((x - radius, y - radius, x + radius, y + radius), fill=(255, 244, 214))
    for ridge in range(5):
        phases = [rng.uniform(0, 2 * math.pi) for _ in range(3)]
        base, swing = height * (0.42 + 0.11 * ridge), height * (0.16 - 0.015 * ridge)
        points: list[tuple[float, float]] = [(0, height)]
        for at in range(0, width + 4, 4):
            turn = at / width * 2 * math.pi
            wave = 0.6 * math.sin(1.1 * turn + phases[0]) + 0.3 * math.sin(2.7 * turn + phases[1])
            points.append((at, base - swing * (wave + 0.15 * math.sin(6 * turn + phases[2]))))
        points.append((width, height))
        share = ridge / 4
        red, green, blue = (round(a + (b - a) * share) for a, b in zip(horizon, near, strict=True))
        canvas.polygon(points, fill=(red, green, blue))
    return image


@cache
def mark() -> Image.Image:
    """Draws a symbol on a transparent background, RGBA."""
    image = Image.new("RGBA", (400, 400), (0, 0, 0, 0))
    canvas = ImageDraw.Draw(image)
    canvas.ellipse((30, 30, 370, 370), fill=(230, 90, 60, 255))
    canvas.polygon([(160, 120), (160, 280), (290, 200)], fill=(255, 255, 255, 255))
    return image
