"""WebP files: leaves out a cut block behind the picture or behind whole frames of an animation."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

from previewops.worker.render.decode.file_views import max_blocks, view_parts

_HEADER_BYTES = 12
_PIXELS = (b"VP8 ", b"VP8L", b"ANMF")


class WebpFile(NamedTuple):
    """A WebP file. ``is_cut``: its end is missing, and ``file`` has the blocks that are whole."""

    file: BinaryIO
    is_cut: bool


def read_webp(file: BinaryIO, size: int) -> WebpFile:
    """Reads the blocks of a cut ``file``, which has ``size`` bytes; without a whole picture it stays as it is."""
    file.seek(4)
    claimed = int.from_bytes(file.read(4), "little") + 8
    end, has_pixels = _HEADER_BYTES, False
    if claimed > size:
        for name, stop in _blocks(file, size):
            if stop > size:
                break
            has_pixels = has_pixels or name in _PIXELS
            end = stop
    file.seek(0)
    if not has_pixels:
        return WebpFile(file, is_cut=claimed > size)
    head = b"RIFF" + struct.pack("<I", end - 8)
    return WebpFile(view_parts(file, [head, range(8, end)]), is_cut=True)


def _blocks(file: BinaryIO, size: int) -> Iterator[tuple[bytes, int]]:
    """Yields the name of each block and the offset behind it."""
    at = _HEADER_BYTES
    for _ in range(max_blocks(size)):
        if at + 8 > size:
            return
        file.seek(at)
        name, length = struct.unpack("<4sI", file.read(8))
        at += 8 + length + length % 2
        yield name, at
