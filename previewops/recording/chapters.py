"""Chapters of a recording: one Zstandard frame each, which can be read without the others."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from previewops.recording.errors import NotARecording, RecordingTooNew
from previewops.recording.format import VERSION, Header, NotARecordingLine, UnsupportedVersion, parse_header

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

MAX_CHAPTER_BYTES = 32 << 20
"""Limit for the lines of a chapter. A recorder ends a chapter before it."""

_WINDOW_LOG = 21
"""A frame repeats most of the one before it: the window of 2 MiB holds several of 256 workers."""

_OPTIONS: dict[int, int] = {
    # Levels up to 7 make an hour of 4 workers a tenth larger; levels from 10 on take twice the time for 2 %.
    zstd.CompressionParameter.compression_level: 9,
    zstd.CompressionParameter.window_log: _WINDOW_LOG,
    zstd.CompressionParameter.checksum_flag: 1,
}
_BLOCK = 64 << 10
_MAGIC = b"\x28\xb5\x2f\xfd"
"""First bytes of each Zstandard frame (RFC 8878, section 3.1.1)."""


@dataclass(frozen=True, slots=True)
class Chapter:
    """A chapter in a file: its offset, the offset of the next one, and its complete lines.

    ``complete`` is False for one whose end is missing: its writer has crashed, or still writes it. ``fault``
    describes other damage, "" for none.
    """

    offset: int
    end: int
    lines: tuple[bytes, ...]
    complete: bool
    fault: str = ""


class ChapterCompressor:
    """Compresses one chapter. The bytes returned so far can be decompressed at any time."""

    def __init__(self) -> None:
        self._compressor = zstd.ZstdCompressor(options=_OPTIONS)

    def compress(self, line: bytes) -> bytes:
        """Returns the bytes of a line."""
        return self._compressor.compress(line, zstd.ZstdCompressor.FLUSH_BLOCK)

    def end(self) -> bytes:
        """Returns the bytes that end the chapter."""
        return self._compressor.flush(zstd.ZstdCompressor.FLUSH_FRAME)


def iter_chapters(file: BinaryIO) -> Iterator[Chapter]:
    """Yields the chapters of a file. After a damaged one it searches for the next."""
    file.seek(0, 2)
    size, offset = file.tell(), 0
    while offset < size:
        chapter = read_chapter(file, offset)
        yield chapter
        offset = chapter.end


def read_chapter(file: BinaryIO, offset: int) -> Chapter:
    """Returns the chapter that begins at ``offset``."""
    file.seek(offset)
    decompressor = zstd.ZstdDecompressor(options={zstd.DecompressionParameter.window_log_max: _WINDOW_LOG})
    text = bytearray()
    while block := file.read(_BLOCK):
        try:
            text += decompressor.decompress(block, MAX_CHAPTER_BYTES - len(text) + 1)
        except zstd.ZstdError as error:
            return _damaged(file, offset, text, f"the compressed data is damaged ({error})")
        if len(text) > MAX_CHAPTER_BYTES:
            fault = f"found a chapter of more bytes than the allowed {MAX_CHAPTER_BYTES:,}"
            return _damaged(file, offset, bytearray(), fault)
        if decompressor.eof:
            return Chapter(offset, file.tell() - len(decompressor.unused_data), _lines(text), complete=True)
    return Chapter(offset, file.tell(), _lines(text), complete=False)


def _lines(text: bytearray) -> tuple[bytes, ...]:
    return tuple(bytes(text).split(b"\n")[:-1])


def _damaged(file: BinaryIO, offset: int, text: bytearray, fault: str) -> Chapter:
    return Chapter(offset, _find_magic(file, offset + 1), _lines(text), complete=False, fault=fault)


def _find_magic(file: BinaryIO, start: int) -> int:
    """Returns the offset of the next chapter from ``start`` on, or of the end of the file."""
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


def read_file_header(file: BinaryIO, path: str) -> Header:
    """Returns the header of a file.

    Raises:
        NotARecording: the file is something else; the message has its first bytes.
        RecordingTooNew: a later version wrote it.
    """
    file.seek(0)
    begin = file.read(8)
    if not begin.startswith(_MAGIC):
        raise NotARecording(path, f"it begins with {begin!r}" if begin else "it is empty")
    first = read_chapter(file, 0)
    if not first.lines:
        raise NotARecording(path, first.fault or "it ends before its first line")
    try:
        return parse_header(first.lines[0])
    except UnsupportedVersion as error:
        raise RecordingTooNew(path, error.version, VERSION) from None
    except NotARecordingLine as error:
        raise NotARecording(path, str(error)) from None
