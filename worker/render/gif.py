"""The block structure of GIF89a, as far as counting frames needs it."""

from __future__ import annotations

from typing import BinaryIO

_EXTENSION, _IMAGE = 0x21, 0x2C


def count_frames(file: BinaryIO, most: int) -> int:
    """Frames in ``file``, decoding none; counting stops at ``most`` + 1. The position is left as it was."""
    start = file.tell()
    try:
        file.seek(0)
        header = file.read(13)
        _skip_colours(file, header[10] if len(header) == 13 else 0)
        frames = 0
        while frames <= most and (kind := file.read(1)):
            if kind[0] == _EXTENSION:
                file.read(1)
            elif kind[0] == _IMAGE and len(descriptor := file.read(9)) == 9:
                frames += 1
                _skip_colours(file, descriptor[8])
                file.read(1)
            else:
                break
            _skip_blocks(file)
        return max(1, frames)
    finally:
        file.seek(start)


def _skip_colours(file: BinaryIO, packed: int) -> None:
    if packed & 0x80:
        file.seek(3 << ((packed & 7) + 1), 1)


def _skip_blocks(file: BinaryIO) -> None:
    while (length := file.read(1)) and length[0]:
        file.seek(length[0], 1)
