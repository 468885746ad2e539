"""The size in the header of a JPEG XL file (ISO/IEC 18181-1), read before the decoder makes room for its pixels."""

from __future__ import annotations

from typing import BinaryIO

from previewops.worker.render.layout.geometry import Size

_CODESTREAM = b"\xff\x0a"
_HEADER_BYTES = 32
_MAX_BOXES = 1_000
_SIDE_BITS = (9, 13, 18, 30)
_RATIOS = {1: (1, 1), 2: (12, 10), 3: (4, 3), 4: (3, 2), 5: (16, 9), 6: (5, 4), 7: (2, 1)}  # width to height


def read_jxl_size(file: BinaryIO) -> Size:
    """Returns the stored size of the picture in ``file``. Raises ValueError if there is none."""
    file.seek(0)
    head = file.read(_HEADER_BYTES)
    if not head.startswith(_CODESTREAM):
        head = _first_codestream(file)
    if not head.startswith(_CODESTREAM) or len(head) < _HEADER_BYTES // 2:
        raise ValueError("no codestream")
    bits = _Bits(head[2:])
    is_small = bits.read(1)
    height = _read_side(bits, is_small=bool(is_small))
    ratio = bits.read(3)
    if ratio == 0:
        return Size(_read_side(bits, is_small=bool(is_small)), height)
    across, down = _RATIOS[ratio]
    return Size(height * across // down, height)


def _first_codestream(file: BinaryIO) -> bytes:
    """The start of the codestream in the boxes of a container."""
    at = 0
    for _ in range(_MAX_BOXES):
        file.seek(at)
        head = file.read(16)
        if len(head) < 8:
            break
        length, name, start = int.from_bytes(head[:4], "big"), head[4:8], at + 8
        if length == 1:
            length, start = int.from_bytes(head[8:], "big"), at + 16
        if name in (b"jxlc", b"jxlp"):
            file.seek(start + (4 if name == b"jxlp" else 0))  # a part has its number in front
            return file.read(_HEADER_BYTES)
        if length < 8:
            break
        at += length
    return b""


class _Bits:
    """Reads little-endian bit fields."""

    def __init__(self, data: bytes) -> None:
        self._value = int.from_bytes(data, "little")

    def read(self, count: int) -> int:
        value = self._value & ((1 << count) - 1)
        self._value >>= count
        return value


def _read_side(bits: _Bits, *, is_small: bool) -> int:
    if is_small:
        return (bits.read(5) + 1) * 8
    return 1 + bits.read(_SIDE_BITS[bits.read(2)])
