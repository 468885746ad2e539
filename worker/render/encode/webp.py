"""Assembles animated WebP from still files without encoding again (RFC 9649, section 2.7).

A frame replaces a part of the canvas, or all of it, so that the bitstream of a still file becomes an animation frame
unchanged.
Memory use is one frame; frames are never merged or reordered.
"""

from __future__ import annotations

import struct
from typing import BinaryIO

from previewops.worker.render.encode.frames import Piece
from previewops.worker.render.layout.geometry import Box, Size

_ANIMATION_FLAG = 0x02
_DO_NOT_BLEND = 0x02
_LONGEST_MS = 0xFFFFFF  # 24 bits


class WebpAnimation:
    """Writes an animation onto a canvas of ``size`` to ``target``, in an endless loop."""

    def __init__(self, target: BinaryIO, size: Size) -> None:
        self._target = target
        canvas = _uint24(size.width - 1) + _uint24(size.height - 1)
        target.write(b"RIFF\0\0\0\0WEBP")
        target.write(_chunk(b"VP8X", struct.pack("<B3x", _ANIMATION_FLAG) + canvas))
        target.write(_chunk(b"ANIM", struct.pack("<IH", 0, 0)))

    def add(self, piece: Piece) -> None:
        """Writes a frame: a still WebP file, its place, and its duration in ms.

        Raises:
            ValueError: the frame is not a WebP file, is longer than 16,777,215 ms, or has an odd place.
        """
        still, box, duration_ms = piece
        if not 0 <= duration_ms <= _LONGEST_MS:
            raise ValueError(f"frame duration: found {duration_ms} ms, allowed 0 to {_LONGEST_MS}")
        if box.left % 2 or box.top % 2:
            raise ValueError(f"frame place: found {box.left}, {box.top}, allowed even numbers")
        place = _uint24(box.left // 2) + _uint24(box.top // 2)
        place += _uint24(box.width - 1) + _uint24(box.height - 1)
        control = place + _uint24(duration_ms) + bytes([_DO_NOT_BLEND])
        self._target.write(_chunk(b"ANMF", control + _bitstream(still)))

    def finish(self) -> None:
        """Completes the file after the last frame."""
        length = self._target.tell()
        self._target.seek(4)
        self._target.write(struct.pack("<I", length - 8))
        self._target.seek(length)


def even_box(box: Box) -> Box:
    """Returns ``box`` extended to the left and to the top as far as the format requires."""
    return Box(box.left - box.left % 2, box.top - box.top % 2, box.right, box.bottom)


def _bitstream(still: bytes) -> bytes:
    """Returns the chunks of the compressed picture in a still file."""
    if still[:4] != b"RIFF" or still[8:12] != b"WEBP":
        raise ValueError("not a WebP file")
    chunks, at = b"", 12
    while at + 8 <= len(still):
        name, length = struct.unpack_from("<4sI", still, at)
        end = at + 8 + length + (length & 1)
        if name in (b"ALPH", b"VP8 ", b"VP8L"):
            chunks += still[at:end]
        at = end
    return chunks


def _chunk(name: bytes, body: bytes) -> bytes:
    return name + struct.pack("<I", len(body)) + body + b"\0" * (len(body) & 1)


def _uint24(value: int) -> bytes:
    return value.to_bytes(3, "little")
