"""ThumbHash: a blurred placeholder of a picture in about 25 bytes (https://evanw.github.io/thumbhash/).

Luminance, two colour differences and alpha are stored as a few cosine terms, quantised to four bits.
"""

from __future__ import annotations

import base64
import math
from functools import lru_cache

from PIL import Image

_LONG_SIDE = 32  # pixels; the format allows 100, but has at most seven terms per side


def encode_thumbhash(image: Image.Image) -> str:
    """Returns the ThumbHash of ``image`` in base64."""
    small = image.convert("RGBA")
    small.thumbnail((_LONG_SIDE, _LONG_SIDE), Image.Resampling.BOX, reducing_gap=None)
    return base64.b64encode(_encode(small)).decode("ascii")


def _encode(image: Image.Image) -> bytes:
    width, height = image.size
    light, yellow_blue, red_green, alpha = _planes(image)
    has_alpha = min(alpha) < 1
    max_terms = 5 if has_alpha else 7
    longer = max(width, height)
    across, down = max(1, round(max_terms * width / longer)), max(1, round(max_terms * height / longer))
    l_constant, l_terms, l_scale = _channel(light, width, height, max(3, across), max(3, down))
    p_constant, p_terms, p_scale = _channel(yellow_blue, width, height, 3, 3)
    q_constant, q_terms, q_scale = _channel(red_green, width, height, 3, 3)
    landscape = width > height
    head24 = (
        round(63 * l_constant)
        | round(31.5 + 31.5 * p_constant) << 6
        | round(31.5 + 31.5 * q_constant) << 12
        | round(31 * l_scale) << 18
        | has_alpha << 23
    )
    head16 = (
        (down if landscape else across)
        | round(63 * p_scale) << 3
        | round(63 * q_scale) << 9
        | landscape << 15
    )
    head = head24.to_bytes(3, "little") + head16.to_bytes(2, "little")
    terms = l_terms + p_terms + q_terms
    if has_alpha:
        a_constant, a_terms, a_scale = _channel(alpha, width, height, 5, 5)
        head += bytes([round(15 * a_constant) | round(15 * a_scale) << 4])
        terms += a_terms
    nibbles = [round(15 * term) for term in terms] + [0] * (len(terms) % 2)
    return head + bytes(low | high << 4 for low, high in zip(nibbles[::2], nibbles[1::2], strict=True))


def _planes(image: Image.Image) -> tuple[list[float], list[float], list[float], list[float]]:
    """Returns luminance, yellow-blue and red-green difference, and alpha, over the average colour."""
    data = image.tobytes()
    alpha = [value / 255 for value in data[3::4]]
    reds, greens, blues = (_plane(data[channel::4], alpha) for channel in range(3))
    light = [(red + green + blue) / 3 for red, green, blue in zip(reds, greens, blues, strict=True)]
    yellow_blue = [(red + green) / 2 - blue for red, green, blue in zip(reds, greens, blues, strict=True)]
    red_green = [red - green for red, green in zip(reds, greens, strict=True)]
    return light, yellow_blue, red_green, alpha


def _plane(values: bytes, alpha: list[float]) -> list[float]:
    """Returns one colour channel, 0..1, composited over its own average."""
    if min(alpha) == 1:
        return [value * (1 / 255) for value in values]
    weight = sum(alpha) or 1.0
    average = sum(map(float.__mul__, alpha, map(float, values))) / 255 / weight
    return [average * (1 - a) + a / 255 * value for a, value in zip(alpha, values, strict=True)]


def _channel(
    plane: list[float], width: int, height: int, across: int, down: int
) -> tuple[float, list[float], float]:
    """Returns the low frequencies of the plane's cosine transform: constant, terms scaled to 0..1, and their scale.

    The transform is separable, so rows come first.
    """
    waves_x, waves_y = _waves(width, across), _waves(height, down)
    rows = [plane[start : start + width] for start in range(0, width * height, width)]
    by_row = [[sum(map(float.__mul__, row, wave)) for row in rows] for wave in waves_x]
    terms = [
        sum(map(float.__mul__, by_row[n], waves_y[m])) / (width * height)
        for m in range(down)
        for n in range(across)
        if n * down < across * (down - m)
    ]
    constant, rest = terms[0], terms[1:]
    scale = max(map(abs, rest), default=0.0)
    return constant, [0.5 + 0.5 / scale * term for term in rest] if scale else rest, scale


@lru_cache(maxsize=256)
def _waves(length: int, count: int) -> tuple[list[float], ...]:
    """Returns the first ``count`` cosine waves over ``length`` samples."""
    return tuple(
        [math.cos(math.pi / length * number * (place + 0.5)) for place in range(length)]
        for number in range(count)
    )
