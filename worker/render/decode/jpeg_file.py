"""JPEG files: drops application data that makes no pixels, reads the orientation, and finds a missing end."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

from previewops.worker.render.decode.exif import find_orientation
from previewops.worker.render.decode.file_views import KeptParts, view_parts

JPEG_MARK = b"\xff\xd8"
END_MARK = b"\xff\xd9"
"""End of image. In front of it all data of the scans is coded; the sequence does not occur in them."""

_SCAN = 0xDA
_WITHOUT_LENGTH = (0x01, *range(0xD0, 0xDA))
_APPS = {0xE0: b"JFIF", 0xE2: b"ICC_PROFILE\0", 0xEE: b"Adobe"}  # those that change the pixels
_METADATA = (*range(0xE0, 0xF0), 0xFE)  # application data and comments
_MAX_PROFILE_SEGMENTS = 255  # a profile numbers its segments in one byte
_MARKER = re.compile(rb"\xff[^\xff\0]")
_BLOCK = 1024 * 1024
_PADDING = b"\xa5" * 64  # entropy-coded data that no file ends with


class JpegFile(NamedTuple):
    """A JPEG file without metadata. ``is_cut``: its end is missing, and ``file`` has one."""

    file: BinaryIO
    orientation: int
    is_cut: bool


def read_jpeg(file: BinaryIO, size: int) -> JpegFile:
    """Reads the segments of ``file``, which has ``size`` bytes.

    Raises:
        ValueError: far more segments than a file of its size needs.
    """
    kept = KeptParts(file, size)
    kept.keep(0, len(JPEG_MARK))
    exif, profile_segments, is_cut = b"", 0, False
    for code, start, end in _segments(file, size):
        kept.count()
        if code == _SCAN:
            is_cut = not _has_end(file, start, size)
        if code not in _METADATA:
            kept.keep(start, end)
            continue
        file.seek(start + 4)
        body = file.read(end - start - 4)
        if code == 0xE1:
            exif = exif or (body if body.startswith(b"Exif\0\0") else b"")
        elif code in _APPS and body.startswith(_APPS[code]):
            profile_segments += code == 0xE2
            if profile_segments <= _MAX_PROFILE_SEGMENTS:
                kept.keep(start, end)
    if is_cut:
        kept.add(END_MARK)
    return JpegFile(kept.file(), find_orientation(exif) or 1, is_cut)


def with_padding(file: BinaryIO) -> BinaryIO:
    """Returns a cut ``file`` of ``read_jpeg`` with other data in front of its end.

    If it decodes to the same pixels, none of them are missing.
    """
    size = file.seek(0, 2)
    file.seek(0)
    return view_parts(file, [range(size - len(END_MARK)), _PADDING + END_MARK])


def _has_end(file: BinaryIO, start: int, size: int) -> bool:
    """Whether an end follows the scan at ``start``. Most files end with it."""
    file.seek(max(start, size - len(END_MARK)))
    if file.read() == END_MARK:
        return True
    file.seek(start)
    last = b""
    while block := file.read(_BLOCK):
        if END_MARK in last + block:
            return True
        last = block[-1:]
    return False


def _segments(file: BinaryIO, size: int) -> Iterator[tuple[int, int, int]]:
    """Yields (marker, start, end) of each segment; the last is the first scan with all that follows."""
    at = 2
    while (start := _next_marker(file, at)) is not None:
        file.seek(start + 1)
        head = file.read(3)
        code, end = head[0], start + 2
        if code in _WITHOUT_LENGTH:
            at = end
            continue
        length = int.from_bytes(head[1:], "big") if len(head) == 3 else size
        at = start + 2 + max(2, length)
        if code == _SCAN or at >= size:
            yield _SCAN, start, size
            return
        yield code, start, at


def _next_marker(file: BinaryIO, at: int) -> int | None:
    """The offset of the first marker from ``at`` on; skips fill bytes and rubbish as decoders do."""
    file.seek(at)
    block = file.read(2)
    while len(block) > 1:
        if match := _MARKER.search(block):
            return at + match.start()
        at += len(block) - 1  # the last byte may begin a marker
        file.seek(at)
        block = file.read(65_536)
    return None
