"""Reads the properties of an OpenType font (ISO/IEC 14496-22): characters, weight, family, colour glyphs.

It reads the ``cmap`` formats 4 and 12, the weight class of ``OS/2``, ``name``, the axes of ``fvar``, and the size of
bitmap glyphs.
fontTools reads the same, but the first text in another script would wait for it: its import takes 25 to 50 ms, and
the 30 fonts of a Debian host 650 ms instead of 17 ms. A test compares both on the fonts of the host.
"""

from __future__ import annotations

import struct
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import BinaryIO, NamedTuple

_UNICODE_SUBTABLES = ((3, 10), (0, 6), (0, 4), (3, 1), (0, 3))  # fullest repertoire first
_REGULAR = 400
_ENGLISH = 0x409
_WEIGHT_AXIS = "wght"
_ITALIC_OR_OBLIQUE = 1 | 1 << 9  # bits of fsSelection


class Coverage:
    """A set of code points, stored as ranges: a few kilobytes for 40,000 characters."""

    __slots__ = ("_lasts", "_starts")

    def __init__(self, ranges: Iterable[tuple[int, int]]) -> None:
        """``ranges`` are first and last code points, inclusive, in any order."""
        self._starts: list[int] = []
        self._lasts: list[int] = []
        for first, last in sorted(ranges):
            if self._lasts and first <= self._lasts[-1] + 1:
                self._lasts[-1] = max(self._lasts[-1], last)
            else:
                self._starts.append(first)
                self._lasts.append(last)

    def __contains__(self, code: int) -> bool:
        place = bisect_right(self._starts, code) - 1
        return place >= 0 and code <= self._lasts[place]

    def __iter__(self) -> Iterator[int]:
        for first, last in zip(self._starts, self._lasts, strict=True):
            yield from range(first, last + 1)


class Axis(NamedTuple):
    """An axis of a variable font."""

    tag: str
    minimum: float
    default: float
    maximum: float


@dataclass(frozen=True, slots=True)
class FontInfo:
    """Properties of one face. ``family`` is the family name, or empty.

    ``weight`` is the weight class, 1..1000; 400 is regular. ``strike`` is the size of colour bitmap glyphs in
    pixels; None for scalable glyphs. ``drawable`` is False for unsupported glyph formats (SVG and COLR version 1).
    ``axes`` are empty if the font is not variable. ``italic`` includes oblique.
    """

    family: str
    coverage: Coverage
    weight: int
    coloured: bool
    strike: int | None
    drawable: bool
    axes: tuple[Axis, ...] = ()
    italic: bool = False

    def nearest_weight(self, weight_class: int) -> int:
        """Returns the weight class nearest to ``weight_class`` that the face can have."""
        for axis in self.axes:
            if axis.tag == _WEIGHT_AXIS:
                return round(min(axis.maximum, max(axis.minimum, weight_class)))
        return self.weight

    def axis_values(self, weight_class: int) -> list[float]:
        """Returns a value per axis: ``weight_class``, and the defaults of the other axes."""
        return [float(weight_class) if axis.tag == _WEIGHT_AXIS else axis.default for axis in self.axes]


def read_font_info(file: BinaryIO, index: int = 0) -> FontInfo:
    """Reads face ``index`` of the font in ``file`` (an index above 0 only in collections).

    Raises:
        ValueError: not a font with a Unicode cmap of format 4 or 12.
        OSError: the file cannot be read.
    """
    try:
        tables = _read_table_index(file, index & 0xFFFF)
        if b"cmap" not in tables:
            raise ValueError("the font has no cmap table")
        outlines = b"glyf" in tables or b"CFF " in tables or b"CFF2" in tables
        layers = b"COLR" in tables and _read_at(file, *tables[b"COLR"])[:2] == b"\0\0"
        strike = _read_strike(file, tables)
        return FontInfo(
            family=_read_family(file, tables),
            coverage=Coverage(_read_characters(_read_at(file, *tables[b"cmap"]))),
            weight=_read_weight(file, tables),
            coloured=strike is not None or b"COLR" in tables or b"SVG " in tables,
            strike=strike,
            drawable=strike is not None or layers or (outlines and not {b"COLR", b"SVG "} & tables.keys()),
            axes=tuple(_read_axes(file, tables)),
            italic=_read_italic(file, tables),
        )
    except (struct.error, IndexError) as broken:
        raise ValueError(f"the font is truncated: {broken}") from broken


def _read_table_index(file: BinaryIO, index: int) -> dict[bytes, tuple[int, int]]:
    """Returns offset and length of each table of the face."""
    start = 0
    if _read_at(file, 0, 4) == b"ttcf":
        (start,) = struct.unpack(">I", _read_at(file, 12 + 4 * index, 4))
    (count,) = struct.unpack(">H", _read_at(file, start + 4, 2))
    records = _read_at(file, start + 12, 16 * count)
    entries = (struct.unpack_from(">4sIII", records, 16 * number) for number in range(count))
    return {tag: (offset, length) for tag, _checksum, offset, length in entries}


def _read_at(file: BinaryIO, offset: int, length: int) -> bytes:
    file.seek(offset)
    return file.read(length)


def _read_family(file: BinaryIO, tables: dict[bytes, tuple[int, int]]) -> str:
    """Returns the typographic family name, else the family name, of the Windows platform (UTF-16)."""
    if b"name" not in tables:
        return ""
    content = _read_at(file, *tables[b"name"])
    _version, count, texts = struct.unpack_from(">HHH", content, 0)
    names: dict[int, str] = {}
    for number in range(count):
        platform, _encoding, language, kind, length, offset = struct.unpack_from(
            ">6H", content, 6 + 12 * number
        )
        if platform == 3 and kind in (1, 16) and (language == _ENGLISH or kind not in names):
            names[kind] = content[texts + offset : texts + offset + length].decode("utf-16-be", "replace")
    return names.get(16) or names.get(1, "")


def _read_weight(file: BinaryIO, tables: dict[bytes, tuple[int, int]]) -> int:
    if b"OS/2" not in tables:
        return _REGULAR
    (weight,) = struct.unpack_from(">H", _read_at(file, *tables[b"OS/2"]), 4)
    return int(weight)


def _read_italic(file: BinaryIO, tables: dict[bytes, tuple[int, int]]) -> bool:
    if b"OS/2" not in tables:
        return False
    (selection,) = struct.unpack_from(">H", _read_at(file, *tables[b"OS/2"]), 62)
    return bool(selection & _ITALIC_OR_OBLIQUE)


def _read_axes(file: BinaryIO, tables: dict[bytes, tuple[int, int]]) -> Iterator[Axis]:
    if b"fvar" not in tables:
        return
    content = _read_at(file, *tables[b"fvar"])
    start, _reserved, count, size = struct.unpack_from(">4H", content, 4)
    for number in range(count):
        tag, *values = struct.unpack_from(">4s3i", content, start + number * size)
        yield Axis(tag.decode("latin-1"), *(value / 65_536 for value in values))  # 16.16 fixed point


def _read_strike(file: BinaryIO, tables: dict[bytes, tuple[int, int]]) -> int | None:
    """Returns the largest size of colour bitmaps, pixels per em."""
    if b"CBDT" in tables and b"CBLC" in tables:
        content = _read_at(file, *tables[b"CBLC"])
        (count,) = struct.unpack_from(">I", content, 4)
        return max(content[8 + 48 * number + 44] for number in range(count))
    if b"sbix" in tables:
        content = _read_at(file, *tables[b"sbix"])
        (count,) = struct.unpack_from(">I", content, 4)
        offsets = struct.unpack_from(f">{count}I", content, 8)
        return int(max(struct.unpack_from(">H", content, offset)[0] for offset in offsets))
    return None


def _read_characters(cmap: bytes) -> Iterator[tuple[int, int]]:
    (count,) = struct.unpack_from(">H", cmap, 2)
    records = [struct.unpack_from(">HHI", cmap, 4 + 8 * index) for index in range(count)]
    offsets = {(platform, encoding): offset for platform, encoding, offset in records}
    for key in _UNICODE_SUBTABLES:
        if key in offsets:
            return _read_subtable(cmap, offsets[key])
    raise ValueError("the font has no Unicode cmap")


def _read_subtable(cmap: bytes, at: int) -> Iterator[tuple[int, int]]:
    (kind,) = struct.unpack_from(">H", cmap, at)
    if kind == 4:
        return _read_format_4(cmap, at)
    if kind == 12:
        return _read_format_12(cmap, at)
    raise ValueError(f"cmap format: found {kind}, allowed 4 and 12")


def _read_format_12(cmap: bytes, at: int) -> Iterator[tuple[int, int]]:
    (groups,) = struct.unpack_from(">I", cmap, at + 12)
    for index in range(groups):
        first, last, glyph = struct.unpack_from(">III", cmap, at + 16 + 12 * index)
        if first + (glyph == 0) <= last:
            yield first + (glyph == 0), last


def _read_format_4(cmap: bytes, at: int) -> Iterator[tuple[int, int]]:
    (doubled,) = struct.unpack_from(">H", cmap, at + 6)
    count = doubled // 2
    uint16s = f">{count}H"
    lasts = struct.unpack_from(uint16s, cmap, at + 14)
    firsts = struct.unpack_from(uint16s, cmap, at + 16 + doubled)
    deltas = struct.unpack_from(uint16s, cmap, at + 16 + 2 * doubled)
    offsets_at = at + 16 + 3 * doubled
    offsets = struct.unpack_from(uint16s, cmap, offsets_at)
    for index in range(count):
        for code in range(firsts[index], min(lasts[index], 0xFFFE) + 1):
            glyph = code
            if offsets[index]:
                place = offsets_at + 2 * index + offsets[index] + 2 * (code - firsts[index])
                (glyph,) = struct.unpack_from(">H", cmap, place)
                if glyph == 0:
                    continue
            if (glyph + deltas[index]) & 0xFFFF:
                yield code, code
