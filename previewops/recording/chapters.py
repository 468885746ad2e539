"""The chapters of a recording as they lie in a file: one gzip member each, read within bounds."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from previewops.recording.errors import NotARecording, RecordingTooNew
from previewops.recording.format import VERSION, Header, NotARecordingLine, UnsupportedVersion, parse_header

MOST_CHAPTER_BYTES = 32 << 20
"""Of a chapter's lines; whoever writes begins a new one long before."""

_GZIP = 31
"""zlib's word for a gzip member with the largest window."""

_LEVEL = 6
_BLOCK = 64 << 10
_MAGIC = b"\x1f\x8b\x08\x00\x00\x00\x00\x00"
"""What each member of ours begins with: gzip, deflate, no name, no time (RFC 1952, section 2.3)."""


@dataclass(frozen=True, slots=True)
class Member:
    """One chapter in a file: where it begins, where the next one does, and the lines that are whole.

    ``complete`` is False for one that ends in the midst: its writer has crashed, or is still at it. ``fault`` says
    what is wrong with it otherwise, "" for nothing.
    """

    offset: int
    end: int
    lines: tuple[bytes, ...]
    complete: bool
    fault: str = ""


class Packer:
    """Compresses one chapter; what has been returned so far can always be read."""

    def __init__(self) -> None:
        self._deflate = zlib.compressobj(_LEVEL, zlib.DEFLATED, _GZIP)

    def pack(self, line: bytes) -> bytes:
        """The bytes that a line becomes."""
        return self._deflate.compress(line) + self._deflate.flush(zlib.Z_SYNC_FLUSH)

    def end(self) -> bytes:
        """The bytes that end the chapter."""
        return self._deflate.flush(zlib.Z_FINISH)


def members(file: BinaryIO) -> Iterator[Member]:
    """The chapters of a file, one after the other. Behind a damaged one, the search goes on for the next."""
    file.seek(0, 2)
    size, offset = file.tell(), 0
    while offset < size:
        member = read_member(file, offset)
        yield member
        offset = member.end


def read_member(file: BinaryIO, offset: int) -> Member:
    """The chapter that begins at ``offset``."""
    file.seek(offset)
    inflate = zlib.decompressobj(_GZIP)
    found = bytearray()
    while block := file.read(_BLOCK):
        try:
            found += inflate.decompress(block, MOST_CHAPTER_BYTES - len(found) + 1)
        except zlib.error as error:
            return _damaged(file, offset, found, f"the compressed data is damaged ({error})")
        if len(found) > MOST_CHAPTER_BYTES:
            return _damaged(
                file, offset, bytearray(), f"a chapter has more than {MOST_CHAPTER_BYTES:,} bytes"
            )
        if inflate.eof:
            return Member(offset, file.tell() - len(inflate.unused_data), _lines(found), complete=True)
    return Member(offset, file.tell(), _lines(found), complete=False)


def _lines(found: bytearray) -> tuple[bytes, ...]:
    *whole, _rest = bytes(found).split(b"\n")
    return tuple(whole)


def _damaged(file: BinaryIO, offset: int, found: bytearray, fault: str) -> Member:
    return Member(offset, _next_member(file, offset + 1), _lines(found), complete=False, fault=fault)


def _next_member(file: BinaryIO, start: int) -> int:
    """Where the next member seems to begin, from ``start`` on; the end of the file if none does."""
    position, carried = start, b""
    file.seek(start)
    while block := file.read(_BLOCK):
        window = carried + block
        place = window.find(_MAGIC)
        if place >= 0:
            return position - len(carried) + place
        position += len(block)
        carried = window[-len(_MAGIC) + 1 :]
    return position


def heading_of(file: BinaryIO, path: str) -> Header:
    """What a file says of itself in its first line.

    Raises:
        NotARecording: it is none; the message says what was found.
        RecordingTooNew: a later version wrote it.
    """
    file.seek(0)
    begin = file.read(len(_MAGIC))
    if begin[:3] != _MAGIC[:3]:  # others may have packed the lines again, with a name and a time
        raise NotARecording(path, f"it begins with {begin!r}" if begin else "it is empty")
    first = read_member(file, 0)
    if not first.lines:
        raise NotARecording(path, first.fault or "it ends before its first line")
    try:
        return parse_header(first.lines[0])
    except UnsupportedVersion as error:
        raise RecordingTooNew(path, error.version, VERSION) from None
    except NotARecordingLine as error:
        raise NotARecording(path, str(error)) from None
