"""Colour spaces that files name by numbers instead of a profile, as ICC profiles.

Numbers are those of ITU-T H.273 (PNG's cICP, AVIF's nclx), chromaticities and gamma those of PNG (cHRM, gAMA). What a
number means follows Chromium 156, measured over its canvas on 2026-11-28.
"""

from __future__ import annotations

import math
import struct
from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial

Chromaticities = tuple[float, float, float, float, float, float, float, float]
"""x and y of white, red, green and blue (CIE 1931)."""

_D65 = (0.3127, 0.3290)
_C = (0.310, 0.316)
SRGB_PRIMARIES: Chromaticities = (*_D65, 0.64, 0.33, 0.30, 0.60, 0.15, 0.06)
_PRIMARIES: dict[int, Chromaticities] = {
    1: SRGB_PRIMARIES,
    4: (*_C, 0.67, 0.33, 0.21, 0.71, 0.14, 0.08),  # BT.470 M
    5: (*_D65, 0.64, 0.33, 0.29, 0.60, 0.15, 0.06),  # BT.470 BG
    6: (*_D65, 0.630, 0.340, 0.310, 0.595, 0.155, 0.070),  # BT.601
    7: (*_D65, 0.630, 0.340, 0.310, 0.595, 0.155, 0.070),  # SMPTE 240M
    8: (*_C, 0.681, 0.319, 0.243, 0.692, 0.145, 0.049),  # film
    9: (*_D65, 0.708, 0.292, 0.170, 0.797, 0.131, 0.046),  # BT.2020
    10: (1 / 3, 1 / 3, 1.0, 0.0, 0.0, 1.0, 0.0, 0.0),  # XYZ
    11: (0.314, 0.351, 0.680, 0.320, 0.265, 0.690, 0.150, 0.060),  # DCI-P3
    12: (*_D65, 0.680, 0.320, 0.265, 0.690, 0.150, 0.060),  # Display P3
    22: (*_D65, 0.630, 0.340, 0.295, 0.605, 0.155, 0.077),
}
SRGB_TRANSFER = 13
BT709_TRANSFERS = (1, 6, 14, 15)
_WHITE_NITS = 203.0  # reference white of HDR pictures (ITU-R BT.2408)
_HLG_PEAK_NITS = 1000.0
_SHOULDER = (  # light in units of the reference white, and what is shown of it; linear below
    (1.0, 0.5), (1.557, 0.665), (2.089, 0.760), (2.794, 0.847), (3.731, 0.922), (4.926, 1.0),
)  # fmt: skip
_CURVE_POINTS = 256  # samples have eight bits


@dataclass(frozen=True, slots=True)
class ColourSpace:
    """Primaries, and a transfer function by its number in H.273 or, if that is 0, by the exponent ``gamma``."""

    primaries: Chromaticities
    transfer: int = SRGB_TRANSFER
    gamma: float = 1.0

    @property
    def is_srgb(self) -> bool:
        near = all(abs(a - b) < 1e-3 for a, b in zip(self.primaries, SRGB_PRIMARIES, strict=True))
        return near and self.transfer == SRGB_TRANSFER


def coded_colour(primaries: int, transfer: int) -> ColourSpace:
    """Returns the colour space of two numbers of H.273; unknown ones mean sRGB."""
    known = transfer if transfer in _LIGHT or transfer in _GAMMAS else SRGB_TRANSFER
    if known in _GAMMAS:
        return ColourSpace(_PRIMARIES.get(primaries, SRGB_PRIMARIES), 0, _GAMMAS[known])
    return ColourSpace(_PRIMARIES.get(primaries, SRGB_PRIMARIES), known)


def _power(gamma: float, value: float) -> float:
    return math.pow(value, gamma)


def _srgb(value: float) -> float:
    return value / 12.92 if value <= 0.04045 else math.pow((value + 0.055) / 1.055, 2.4)


def _smpte240(value: float) -> float:
    return value / 4 if value < 0.0913 else math.pow((value + 0.1115) / 1.1115, 1 / 0.45)


def _pq(value: float) -> float:
    """SMPTE ST 2084, tone-mapped."""
    power = math.pow(value, 32 / 2523)
    ratio = max(power - 3424 / 4096, 0.0) / (2413 / 128 - 2392 / 128 * power)
    return _tone_map(10_000 * math.pow(ratio, 16_384 / 2610))


def _hlg(value: float) -> float:
    """ARIB STD-B67 on a display of 1000 nits, tone-mapped."""
    scene = (
        value * value / 3 if value <= 0.5 else (math.exp((value - 0.55991073) / 0.17883277) + 0.28466892) / 12
    )
    return _tone_map(_HLG_PEAK_NITS * math.pow(scene, 1.2))


def _tone_map(nits: float) -> float:
    """The light that a display of standard range shows: half of it up to the reference white, compressed above."""
    light = nits / _WHITE_NITS
    place = bisect_right(_SHOULDER, (light, 0.0))
    if place == 0:
        return light / 2
    if place == len(_SHOULDER):
        return 1.0
    (low, shown_low), (high, shown_high) = _SHOULDER[place - 1], _SHOULDER[place]
    return shown_low + (shown_high - shown_low) * (light - low) / (high - low)


_LIGHT: dict[int, Callable[[float], float]] = {
    7: _smpte240,
    SRGB_TRANSFER: _srgb,
    16: _pq,
    18: _hlg,
}
_GAMMAS = {**dict.fromkeys((*BT709_TRANSFERS, 11), 2.4), 4: 2.2, 5: 2.8, 8: 1.0, 17: 2.6}


@lru_cache(maxsize=16)
def icc_profile(space: ColourSpace) -> bytes:
    """Returns ``space`` as an ICC profile (version 2.4) for RGB pictures.

    Raises:
        ValueError: its primaries do not span a space.
    """
    light = _light(space)
    points = [round(65_535 * light(at / (_CURVE_POINTS - 1))) for at in range(_CURVE_POINTS)]
    curve = struct.pack(f">4s4xI{_CURVE_POINTS}H", b"curv", _CURVE_POINTS, *points)
    tags = [(b"wtpt", _xyz(_D50))]
    columns = _adapted_columns(space.primaries)
    tags += [(name + b"XYZ", _xyz(column)) for name, column in zip((b"r", b"g", b"b"), columns, strict=True)]
    tags += [(name + b"TRC", curve) for name in (b"r", b"g", b"b")]
    body, table, at = b"", struct.pack(">I", len(tags)), 132 + 12 * len(tags)
    for name, content in tags:
        table += struct.pack(">4sII", name, at + len(body), len(content))
        body += content + bytes(-len(content) % 4)
    head = struct.pack(">I4sI4s4s4s", at + len(body), b"none", 0x02400000, b"mntr", b"RGB ", b"XYZ ")
    head = (head.ljust(36, b"\0") + b"acsp").ljust(68, b"\0") + struct.pack(">3i", *map(_fixed, _D50))
    return head.ljust(128, b"\0") + table + body


@lru_cache(maxsize=4)
def grey_table(space: ColourSpace) -> list[int]:
    """Returns the grey of sRGB, 0 to 255, of each 16-bit grey of ``space``."""
    light = _light(space)
    return [round(255 * _encode_srgb(light(value / 65_535))) for value in range(65_536)]


def _light(space: ColourSpace) -> Callable[[float], float]:
    return _LIGHT.get(space.transfer) or partial(_power, space.gamma)


def _encode_srgb(light: float) -> float:
    return light * 12.92 if light <= 0.0031308 else 1.055 * math.pow(light, 1 / 2.4) - 0.055


_D50 = (0.9642, 1.0, 0.8249)
_Vector = tuple[float, float, float]
_Matrix = tuple[_Vector, _Vector, _Vector]  # rows
_BRADFORD: _Matrix = ((0.8951, 0.2664, -0.1614), (-0.7502, 1.7135, 0.0367), (0.0389, -0.0685, 1.0296))


def _fixed(value: float) -> int:
    return round(value * 65_536)


def _xyz(value: _Vector) -> bytes:
    return struct.pack(">4s4x3i", b"XYZ ", *map(_fixed, value))


def _adapted_columns(primaries: Chromaticities) -> _Matrix:
    """XYZ of red, green and blue, adapted to the white D50 of ICC by the Bradford transform."""
    white = _to_xyz(primaries[0], primaries[1])
    corners = [(x, y, 1 - x - y) for x, y in zip(primaries[2::2], primaries[3::2], strict=True)]
    rows = _transposed(corners)
    weights = _applied(_inverse(rows), white)
    source, target = _applied(_BRADFORD, white), _applied(_BRADFORD, _D50)
    adapted = []
    for corner, weight in zip(corners, weights, strict=True):
        cone = _applied(_BRADFORD, corner)
        scaled = tuple(weight * c * t / s for c, t, s in zip(cone, target, source, strict=True))
        adapted.append(_applied(_inverse(_BRADFORD), scaled))
    return (adapted[0], adapted[1], adapted[2])


def _to_xyz(x: float, y: float) -> _Vector:
    if y <= 0:
        raise ValueError("a white without light")
    return (x / y, 1.0, (1 - x - y) / y)


def _transposed(rows: list[_Vector]) -> _Matrix:
    first, second, third = zip(*rows, strict=True)
    return (first, second, third)


def _applied(matrix: _Matrix, vector: tuple[float, ...]) -> _Vector:
    first, second, third = (sum(a * b for a, b in zip(row, vector, strict=True)) for row in matrix)
    return (first, second, third)


def _inverse(m: _Matrix) -> _Matrix:
    (a, b, c), (d, e, f), (g, h, i) = m
    determinant = a * (e * i - f * h) - b * (d * i - f * g) + c * (d * h - e * g)
    if abs(determinant) < 1e-9:
        raise ValueError("primaries on one line")
    rows = (
        (e * i - f * h, c * h - b * i, b * f - c * e),
        (f * g - d * i, a * i - c * g, c * d - a * f),
        (d * h - e * g, b * g - a * h, a * e - b * d),
    )
    first, second, third = ((x / determinant, y / determinant, z / determinant) for x, y, z in rows)
    return (first, second, third)
