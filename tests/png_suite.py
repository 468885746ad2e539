"""PNG files of every form that PngSuite (Willem van Schaik) describes, made by code, each with its pixels."""

from __future__ import annotations

import math
import random
import struct
import zlib
from collections.abc import Callable, Iterator
from functools import cached_property, partial
from typing import NamedTuple

from tests.hostile import chunk

GREY, RGB, PALETTE, GREY_ALPHA, RGBA = 0, 2, 3, 4, 6
CHANNELS = {GREY: 1, RGB: 3, PALETTE: 1, GREY_ALPHA: 2, RGBA: 4}
DEPTHS = {GREY: (1, 2, 4, 8, 16), RGB: (8, 16), PALETTE: (1, 2, 4, 8), GREY_ALPHA: (8, 16), RGBA: (8, 16)}
ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
SIGNATURE = b"\x89PNG\r\n\x1a\n"

Samples = list[list[tuple[int, ...]]]  # rows of pixels
Pixel = tuple[float, ...]


class PngCase(NamedTuple):
    """A file, its size, and its pixels in reading order: red, green, blue, alpha, 0..255."""

    content: bytes
    size: tuple[int, int]
    pixels: list[Pixel]


class PngMaker:
    """Makes files of one colour type and depth, all with the same random pixels."""

    def __init__(self, colour: int, depth: int, size: tuple[int, int] = (32, 32)) -> None:
        self.colour, self.depth, self.size = colour, depth, size
        self._seed = f"{colour} {depth} {size}"

    @cached_property
    def rows(self) -> Samples:
        rng = random.Random(self._seed)
        top = (1 << self.depth) - 1
        width, height = self.size
        return [
            [tuple(rng.randint(0, top) for _ in range(CHANNELS[self.colour])) for _ in range(width)]
            for _ in range(height)
        ]

    @cached_property
    def palette(self) -> list[tuple[int, ...]]:
        rng = random.Random(f"palette {self._seed}")
        return [tuple(rng.randbytes(3)) for _ in range(1 << min(self.depth, 8))]

    def make(
        self,
        *,
        interlaced: bool = False,
        filter_type: int = 0,
        before_palette: bytes = b"",
        before_data: bytes = b"",
        after_data: bytes = b"",
        idat_bytes: int = 1 << 20,
        level: int = 6,
        transparent: tuple[int, ...] | None = None,
        gamma: float | None = None,
    ) -> PngCase:
        """``transparent`` is the sample of the transparent colour, or the alpha of the palette's entries."""
        header = struct.pack(">IIBBBBB", *self.size, self.depth, self.colour, 0, 0, interlaced)
        parts = [chunk(b"IHDR", header)]
        if gamma is not None:
            parts.append(chunk(b"gAMA", struct.pack(">I", round(gamma * 100_000))))
        parts.append(before_palette)
        if self.colour == PALETTE:
            parts.append(chunk(b"PLTE", bytes(value for entry in self.palette for value in entry)))
        if transparent is not None:
            body = (
                bytes(transparent)
                if self.colour == PALETTE
                else struct.pack(f">{len(transparent)}H", *transparent)
            )
            parts.append(chunk(b"tRNS", body))
        packed = zlib.compress(self._scanlines(interlaced, filter_type), level)
        parts.append(before_data)
        parts += [chunk(b"IDAT", packed[at : at + idat_bytes]) for at in range(0, len(packed), idat_bytes)]
        content = SIGNATURE + b"".join(parts) + after_data + chunk(b"IEND", b"")
        pixels = [self._pixel(pixel, transparent, gamma) for row in self.rows for pixel in row]
        return PngCase(content, self.size, pixels)

    def _scanlines(self, interlaced: bool, filter_type: int) -> bytes:
        width, height = self.size
        data = b""
        for left, top, across, down in ADAM7 if interlaced else ((0, 0, 1, 1),):
            lines = [[self.rows[y][x] for x in range(left, width, across)] for y in range(top, height, down)]
            before = b""
            for line in lines if lines and lines[0] else ():
                raw = self._packed(line)
                data += bytes([filter_type]) + self._filtered(raw, before or bytes(len(raw)), filter_type)
                before = raw
        return data

    def _packed(self, line: list[tuple[int, ...]]) -> bytes:
        bits = "".join(f"{sample:0{self.depth}b}" for pixel in line for sample in pixel)
        bits += "0" * (-len(bits) % 8)
        return int(bits, 2).to_bytes(len(bits) // 8, "big")

    def _filtered(self, raw: bytes, before: bytes, filter_type: int) -> bytes:
        step = max(1, CHANNELS[self.colour] * self.depth // 8)
        filtered = bytearray()
        for at, value in enumerate(raw):
            left = raw[at - step] if at >= step else 0
            corner = before[at - step] if at >= step else 0
            guess = (0, left, before[at], (left + before[at]) // 2, _paeth(left, before[at], corner))[
                filter_type
            ]
            filtered.append((value - guess) % 256)
        return bytes(filtered)

    def _pixel(
        self, sample: tuple[int, ...], transparent: tuple[int, ...] | None, gamma: float | None
    ) -> Pixel:
        top = (1 << self.depth) - 1
        alpha = 255.0
        if self.colour == PALETTE:
            colour: Pixel = tuple(map(float, self.palette[sample[0]]))
            if transparent is not None and sample[0] < len(transparent):
                alpha = transparent[sample[0]]
        else:
            values = [value * 255 / top for value in sample]
            if self.colour in (GREY_ALPHA, RGBA):
                alpha = values.pop()
            elif transparent == sample:
                alpha = 0.0
            colour = tuple(values * 3 if len(values) == 1 else values)
        if gamma is not None:
            colour = tuple(_to_srgb(value / 255, gamma) for value in colour)
        return (*colour, alpha)


def _to_srgb(value: float, gamma: float) -> float:
    light = math.pow(value, 1 / gamma)
    return 255 * (light * 12.92 if light <= 0.0031308 else 1.055 * math.pow(light, 1 / 2.4) - 0.055)


def _paeth(left: int, above: int, corner: int) -> int:
    guess = left + above - corner
    return min((left, above, corner), key=lambda value: abs(guess - value))


def suite() -> Iterator[tuple[str, Callable[[], PngCase]]]:
    """Yields the name of every valid file, and what makes it."""
    for colour, depths in DEPTHS.items():
        for depth in depths:
            maker, name = PngMaker(colour, depth), f"colour-{colour}-depth-{depth}"
            for interlaced in (False, True):
                yield f"{name}-interlaced-{interlaced}", partial(maker.make, interlaced=interlaced)
            yield f"{name}-short-data", partial(maker.make, idat_bytes=1 if depth == 8 else 100)
            if colour in (GREY, RGB):
                yield f"{name}-transparent", partial(_with_transparent_colour, maker)
                yield (
                    f"{name}-transparent-interlaced",
                    partial(_with_transparent_colour, maker, interlaced=True),
                )
    for filter_type in range(5):
        yield f"filter-{filter_type}-grey", partial(PngMaker(GREY, 8).make, filter_type=filter_type)
        yield f"filter-{filter_type}-colour", partial(PngMaker(RGB, 16).make, filter_type=filter_type)
    for side in range(1, 10):
        for interlaced in (False, True):
            yield (
                f"side-{side}-{interlaced}",
                partial(PngMaker(PALETTE, 4, (side, side)).make, interlaced=interlaced),
            )
    for depth in DEPTHS[PALETTE]:
        yield f"palette-{depth}-transparent", partial(PngMaker(PALETTE, depth).make, transparent=(0, 128))
    for gamma in (0.35, 0.45, 0.55, 0.7, 1.0, 2.5):
        for colour, depth in ((GREY, 16), (RGB, 8), (PALETTE, 8)):
            yield f"gamma-{gamma}-{colour}", partial(PngMaker(colour, depth).make, gamma=gamma)
    for level in (0, 3, 6, 9):
        yield f"level-{level}", partial(PngMaker(RGB, 8).make, level=level)
    yield "suggested-palette", partial(PngMaker(RGB, 8).make, before_data=chunk(b"PLTE", bytes(range(48))))
    yield (
        "suggested-palettes",
        partial(PngMaker(RGB, 8).make, before_data=chunk(b"sPLT", b"six\0\x08" + bytes(range(60)))),
    )
    for name, body in ANCILLARY.items():
        yield f"ancillary-{name.decode()}", partial(PngMaker(RGB, 8).make, before_data=chunk(name, body))
        yield f"behind-{name.decode()}", partial(PngMaker(RGB, 8).make, after_data=chunk(name, body))
        yield (
            f"broken-{name.decode()}",
            partial(PngMaker(RGB, 8).make, before_data=chunk(name, body)[:-4] + b"crc!"),
        )


def _with_transparent_colour(maker: PngMaker, *, interlaced: bool = False) -> PngCase:
    return maker.make(transparent=maker.rows[3][5], interlaced=interlaced)


ANCILLARY = {
    b"bKGD": bytes(6),
    b"pHYs": struct.pack(">IIB", 1, 4, 0),
    b"sBIT": b"\x05\x06\x05",
    b"tIME": struct.pack(">HBBBBB", 2000, 1, 1, 12, 34, 56),
    b"hIST": bytes(8),
    b"tEXt": b"Title\0PngSuite",
    b"zTXt": b"Title\0\0" + zlib.compress(b"PngSuite" * 200_000),
    b"iTXt": b"Title\0\1\0en\0\0" + zlib.compress(bytes(2_000_000)),
    b"cHRM": struct.pack(">8I", 31_270, 32_900, 68_000, 32_000, 26_500, 69_000, 15_000, 6_000),
    b"eXIf": b"MM\0*\0\0\0\x08\0\0",
    b"iCCP": b"odd\0\0" + zlib.compress(bytes(2_000_000)),
    b"cLLI": bytes(8),
    b"prVt": b"private",
}
"""Chunks that change no pixel, by their names."""


def broken() -> Iterator[tuple[str, bytes]]:
    """Yields files that are none: PngSuite's x files."""
    good = PngMaker(RGB, 8).make().content
    header = good[8:33]
    yield "signature", b"\x89Png" + good[4:]
    yield "header-checksum", good[:29] + b"crc!" + good[33:]
    yield "no-data", SIGNATURE + header + chunk(b"IEND", b"")
    for name, depth, colour in (
        ("depth-0", 0, 0),
        ("depth-3", 3, 0),
        ("depth-99", 99, 0),
        ("colour-1", 8, 1),
        ("colour-9", 8, 9),
    ):
        yield (
            name,
            SIGNATURE + chunk(b"IHDR", struct.pack(">IIBBBBB", 32, 32, depth, colour, 0, 0, 0)) + good[33:],
        )
