"""Assembles animated WebP from still files without encoding again (RFC 9649, section 2.7).

Every frame covers the whole canvas, so that the bitstream of a still file becomes an animation frame unchanged.
Memory use is one frame; frames are never merged or reordered.
"""

from __future__ import annotations

import struct
from typing import BinaryIO

from previewops.worker.render.layout.geometry import Size

_ANIMATION_FLAG = 0x02
_DO_NOT_BLEND = 0x02
_LONGEST_MS = 0xFFFFFF  # 24 bits


class WebpAnimation:
    """Writes an animation of frames of ``size`` to ``target``, in an endless loop."""

    def __init__(self, target: BinaryIO, size: Size) -> None:
        self._target = target
        self._canvas = _uint24(size.width - 1) + _uint24(size.height - 1)
        target.write(b"RIFF\0\0\0\0WEBP")
        target.write(_chunk(b"VP8X", struct.pack("<B3x", _ANIMATION_FLAG) + self._canvas))
        target.write(_chunk(b"ANIM", struct.pack("<IH", 0, 0)))

    def add(self, still: bytes, duration_ms: int) -> None:
        """Writes a frame: a still WebP file, and its duration in ms.

        Raises:
            ValueError: the frame is not a WebP file, or is longer than 16,777,215 ms.
        """
        if not 0 <= duration_ms <= _LONGEST_MS:
            raise ValueError(f"frame duration: found {duration_ms} ms, allowed 0 to {_LONGEST_MS}")
        control = _uint24(0) + _uint24(0) + self._canvas + _uint24(duration_ms) + bytes([_DO_NOT_BLEND])
        self._target.write(_chunk(b"ANMF", control + _bitstream(still)))

    def finish(self) -> None:
        """Completes the file after the last frame."""
        length = self._target.tell()
        self._target.seek(4)
        self._target.write(struct.pack("<I", length - 8))
        self._target.seek(length)


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
