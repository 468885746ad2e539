"""Assembles animated PNG from still files without encoding again (PNG specification, third edition, section 4.9).

Pillow's writer reads its frames twice and therefore keeps all of them in memory.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from typing import BinaryIO

from previewops.worker.render.encode.frames import Piece
from previewops.worker.render.layout.geometry import Box

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_LONGEST_FINE_MS = 65_535  # longer delays are stored in hundredths of a second: the field has 16 bits


class ApngAnimation:
    """Writes an animation to ``target``, in an endless loop. The first frame has the size of the canvas."""

    def __init__(self, target: BinaryIO) -> None:
        self._target = target
        self._header = b""
        self._count = 0  # of frames
        self._counted_at = 0
        self._number = 0  # of the next chunk with a number

    def add(self, piece: Piece) -> None:
        """Writes a frame: a still PNG file, its place, and its duration in ms.

        Raises:
            ValueError: the frame is not a PNG file, differs from its box in size or from the first frame in pixel
                format, or is longer than 655,350 ms.
        """
        still, box, duration_ms = piece
        chunks = list(_chunks(still))
        header, pixels = chunks[0][1], b"".join(body for name, body in chunks if name == b"IDAT")
        if not self._header:
            self._header = header
            self._target.write(_SIGNATURE + _chunk(b"IHDR", header))
            self._counted_at = self._target.tell()
            self._target.write(_frame_count(0))
        if header != struct.pack(">II", *box.size) + self._header[8:]:
            raise ValueError("the frames differ in size or pixel format")
        self._target.write(_chunk(b"fcTL", _frame_control(self._number, box, duration_ms)))
        if self._number == 0:
            self._target.write(_chunk(b"IDAT", pixels))
            self._number = 1
        else:
            self._target.write(_chunk(b"fdAT", struct.pack(">I", self._number + 1) + pixels))
            self._number += 2
        self._count += 1

    def finish(self) -> None:
        """Completes the file after the last frame."""
        self._target.write(_chunk(b"IEND", b""))
        end = self._target.tell()
        self._target.seek(self._counted_at)
        self._target.write(_frame_count(self._count))
        self._target.seek(end)


def _frame_count(count: int) -> bytes:
    return _chunk(b"acTL", struct.pack(">II", count, 0))


def _frame_control(number: int, box: Box, duration_ms: int) -> bytes:
    """Returns the content of the fcTL chunk of a frame that replaces ``box``."""
    fine = duration_ms <= _LONGEST_FINE_MS
    delay, parts = (duration_ms, 1000) if fine else (round(duration_ms / 10), 100)
    if not 0 <= delay <= _LONGEST_FINE_MS:
        raise ValueError(f"frame duration: found {duration_ms} ms, allowed 0 to {10 * _LONGEST_FINE_MS}")
    place = struct.pack(">IIII", *box.size, box.left, box.top)
    return struct.pack(">I", number) + place + struct.pack(">HHBB", delay, parts, 0, 0)


def _chunks(still: bytes) -> Iterator[tuple[bytes, bytes]]:
    if not still.startswith(_SIGNATURE):
        raise ValueError("not a PNG file")
    at = len(_SIGNATURE)
    while at + 12 <= len(still):
        length, name = struct.unpack_from(">I4s", still, at)
        yield name, still[at + 8 : at + 8 + length]
        at += 12 + length


def _chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
