"""Parts of an open file as one file, without copying it."""

from __future__ import annotations

import io
from bisect import bisect_right
from itertools import accumulate
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

MIN_BLOCKS = 100_000
"""A file may have so many blocks, whatever its size."""

_BYTES_PER_BLOCK = 32  # or one in so many bytes


def max_blocks(size_bytes: int) -> int:
    """Returns how many blocks (segments, chunks) a picture file may have. Files of real programs have far fewer."""
    return max(MIN_BLOCKS, size_bytes // _BYTES_PER_BLOCK)


def view_parts(file: BinaryIO, parts: list[range | bytes]) -> BinaryIO:
    """Returns ``parts`` as one file. A part is a range of offsets in ``file``, which must stay open, or bytes."""
    return io.BufferedReader(_View(file, parts))


class _View(io.RawIOBase):
    def __init__(self, file: BinaryIO, parts: list[range | bytes]) -> None:
        self._file = file
        self._parts = parts
        self._starts = [0, *accumulate(map(len, parts))]
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = (0, self._at, self._starts[-1])[whence]
        self._at = max(0, base + offset)
        return self._at

    def readinto(self, buffer: WriteableBuffer) -> int:
        if self._at >= self._starts[-1]:
            return 0
        target = memoryview(buffer)
        index = bisect_right(self._starts, self._at) - 1
        part, skipped = self._parts[index], self._at - self._starts[index]
        wanted = part[skipped : skipped + len(target)]
        if isinstance(wanted, range):
            self._file.seek(wanted.start)
            wanted = self._file.read(len(wanted))
        target[: len(wanted)] = wanted
        self._at += len(wanted)
        return len(wanted)


class KeptParts:
    """The parts of a file that are kept, in order; adjacent ranges are joined. Counts all blocks, kept or not."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        self._file, self._size = file, size
        self._parts: list[range | bytes] = []
        self._left = max_blocks(size)

    def count(self) -> None:
        """Counts a block. Raises ValueError if there are far more than a file of its size needs."""
        self._left -= 1
        if self._left < 0:
            raise ValueError(f"more than {max_blocks(self._size)} segments")

    def keep(self, start: int, end: int) -> None:
        """Keeps the bytes from ``start`` to before ``end``."""
        last = self._parts[-1] if self._parts else None
        if isinstance(last, range) and last.stop == start:
            self._parts[-1] = range(last.start, end)
        else:
            self._parts.append(range(start, end))

    def add(self, content: bytes) -> None:
        """Adds bytes that are not in the file."""
        self._parts.append(content)

    def file(self) -> BinaryIO:
        """The kept parts as a file; the file itself if all of it is kept."""
        if self._parts == [range(self._size)]:
            self._file.seek(0)
            return self._file
        return view_parts(self._file, self._parts)
