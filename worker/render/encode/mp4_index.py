"""Moves the index of a written MP4 file in front of its data, so that players can start at once.

FFmpeg can do this only for files that it opens by name, or by reserving room of a size that is known in advance.
"""

from __future__ import annotations

import struct
from typing import BinaryIO

_BLOCK = 1024 * 1024
_CONTAINERS = (b"moov", b"trak", b"mdia", b"minf", b"stbl")
_OFFSETS = {b"stco": ">I", b"co64": ">Q"}  # tables of offsets in the file, and their numbers


def move_index_to_front(file: BinaryIO) -> None:
    """Moves the last box, moov, behind the first one, ftyp; ``file`` is open for reading and writing.

    Raises:
        ValueError: another order of boxes.
    """
    boxes = _list_boxes(file)
    names = [name for name, _, _ in boxes]
    if names[0] != b"ftyp" or names[-1] != b"moov":
        raise ValueError(f"boxes: found {names}, allowed ftyp first and moov last")
    start, (_, index_at, end) = boxes[0][2], boxes[-1]
    file.seek(index_at)
    index = bytearray(file.read(end - index_at))
    _shift_offsets(index, 0, len(index), len(index))
    at = index_at
    while at > start:
        size = min(_BLOCK, at - start)
        at -= size
        file.seek(at)
        block = file.read(size)
        file.seek(at + len(index))
        file.write(block)
    file.seek(start)
    file.write(bytes(index))


def _list_boxes(file: BinaryIO) -> list[tuple[bytes, int, int]]:
    """Returns name, start and end of each box at the top."""
    boxes: list[tuple[bytes, int, int]] = []
    at = 0
    while True:
        file.seek(at)
        head = file.read(16)
        if len(head) < 8:
            return boxes
        size, name = struct.unpack_from(">I4s", head)
        if size == 1:
            (size,) = struct.unpack_from(">Q", head, 8)
        boxes.append((name, at, at + size))
        at += max(8, size)


def _shift_offsets(index: bytearray, at: int, end: int, shift: int) -> None:
    """Adds ``shift`` to every offset in the boxes ``index[at:end]``."""
    while at + 8 <= end:
        size, name = struct.unpack_from(">I4s", index, at)
        if name in _CONTAINERS:
            _shift_offsets(index, at + 8, at + size, shift)
        elif name in _OFFSETS:
            number = struct.Struct(_OFFSETS[name])
            (count,) = struct.unpack_from(">I", index, at + 12)
            for place in range(at + 16, at + 16 + count * number.size, number.size):
                number.pack_into(index, place, number.unpack_from(index, place)[0] + shift)
        at += max(8, size)
