"""Assembles a GIF89a animation from still files, without encoding again."""

from __future__ import annotations

import struct
from io import BytesIO
from typing import BinaryIO

from previewops.worker.render.decode.gif_file import EXTENSION, IMAGE, read_colours, skip_blocks
from previewops.worker.render.encode.frames import Piece
from previewops.worker.render.layout.geometry import Box, Size

TICK_MS = 10  # durations are stored in hundredths of a second
_LONGEST_TICKS = 65_535
_FASTEST_TICKS = 2  # many viewers slow down shorter durations
_OWN_COLOURS = 0x80
_KEEP_WHAT_IS_THERE = 1 << 2
_LOOP_FOR_EVER = b"\x21\xff\x0bNETSCAPE2.0\x03\x01\0\0\0"


class GifAnimation:
    """Writes an animation onto a canvas of ``size`` to ``target``, in an endless loop, with a palette per frame."""

    def __init__(self, target: BinaryIO, size: Size) -> None:
        self._target = target
        target.write(b"GIF89a" + struct.pack("<HHBBB", *size, 0x70, 0, 0) + _LOOP_FOR_EVER)

    def add(self, piece: Piece) -> None:
        """Writes a frame: a still GIF file, its place, and its duration, which is rounded to 10 ms, at least 20 ms.

        Raises:
            ValueError: the frame is not a GIF file with a picture.
        """
        still, box, duration_ms = piece
        ticks = min(_LONGEST_TICKS, max(_FASTEST_TICKS, round(duration_ms / TICK_MS)))
        control = struct.pack("<BBBBHBB", EXTENSION, 0xF9, 4, _KEEP_WHAT_IS_THERE, ticks, 0, 0)
        self._target.write(control)
        self._target.write(_picture(still, box))

    def finish(self) -> None:
        """Completes the file after the last frame."""
        self._target.write(b"\x3b")


def _picture(still: bytes, box: Box) -> bytes:
    """Returns the image block of a still file at the place of ``box``, with a local palette."""
    file = BytesIO(still)
    header = file.read(13)
    if header[:3] != b"GIF" or len(header) < 13:
        raise ValueError("not a GIF file")
    colours = read_colours(file, header[10])
    while (kind := file.read(1)) and kind[0] == EXTENSION:
        file.read(1)
        skip_blocks(file, len(still))
    if not kind or kind[0] != IMAGE:
        raise ValueError("a GIF file without a picture")
    place = struct.pack("<HH", box.left, box.top) + file.read(8)[4:]
    packed = file.read(1)[0]
    own = read_colours(file, packed)
    count_bits = packed & 7 if own else header[10] & 7
    start = file.tell()
    file.read(1)
    skip_blocks(file, len(still))
    flags = _OWN_COLOURS | packed & 0x40 | count_bits
    return bytes([IMAGE]) + place + bytes([flags]) + (own or colours) + still[start : file.tell()]
