"""Which characters a font file can draw, read from its ``cmap`` table.

Only what the question needs of the OpenType format (ISO/IEC 14496-22): subtable formats 4 and 12. Reading the
font itself, and not a table written beside it, keeps the two from ever disagreeing.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

_UNICODE_SUBTABLES = ((3, 10), (0, 6), (0, 4), (3, 1), (0, 3))  # fullest repertoire first


def coverage(font: bytes) -> frozenset[int]:
    """The code points that have a glyph other than .notdef.

    Raises:
        ValueError: the bytes are no font with a Unicode cmap of format 4 or 12.
    """
    start = _table(font, b"cmap")
    (count,) = struct.unpack_from(">H", font, start + 2)
    records = [struct.unpack_from(">HHI", font, start + 4 + 8 * index) for index in range(count)]
    offsets = {(platform, encoding): start + offset for platform, encoding, offset in records}
    for key in _UNICODE_SUBTABLES:
        if key in offsets:
            return frozenset(_subtable(font, offsets[key]))
    raise ValueError("the font has no Unicode cmap")


def _table(font: bytes, wanted: bytes) -> int:
    (count,) = struct.unpack_from(">H", font, 4)
    for index in range(count):
        tag, _checksum, offset, _length = struct.unpack_from(">4sIII", font, 12 + 16 * index)
        if tag == wanted:
            return int(offset)
    raise ValueError(f"the font has no {wanted.decode()} table")


def _subtable(font: bytes, at: int) -> Iterator[int]:
    (kind,) = struct.unpack_from(">H", font, at)
    if kind == 4:
        return _format_4(font, at)
    if kind == 12:
        return _format_12(font, at)
    raise ValueError(f"cmap format {kind} is not read; 4 and 12 are")


def _format_12(font: bytes, at: int) -> Iterator[int]:
    (groups,) = struct.unpack_from(">I", font, at + 12)
    for index in range(groups):
        first, last, glyph = struct.unpack_from(">III", font, at + 16 + 12 * index)
        yield from range(first + (glyph == 0), last + 1)


def _format_4(font: bytes, at: int) -> Iterator[int]:
    (doubled,) = struct.unpack_from(">H", font, at + 6)
    count = doubled // 2
    words = f">{count}H"
    lasts = struct.unpack_from(words, font, at + 14)
    firsts = struct.unpack_from(words, font, at + 16 + doubled)
    deltas = struct.unpack_from(words, font, at + 16 + 2 * doubled)
    offsets_at = at + 16 + 3 * doubled
    offsets = struct.unpack_from(words, font, offsets_at)
    for index in range(count):
        for code in range(firsts[index], min(lasts[index], 0xFFFE) + 1):
            glyph = code
            if offsets[index]:
                place = offsets_at + 2 * index + offsets[index] + 2 * (code - firsts[index])
                (glyph,) = struct.unpack_from(">H", font, place)
                if glyph == 0:
                    continue
            if (glyph + deltas[index]) & 0xFFFF:
                yield code
