"""Removes metadata from picture files before Pillow reads them, in time linear in the size of the file.

Pillow joins repeated EXIF segments in quadratic time, unpacks each compressed text of a PNG file, and copies the
value of every EXIF tag, which a crafted tag table lets overlap. A render needs pixels, the colour profile and the
orientation. This module keeps the first two and reads the third itself, from the first kilobytes.
"""

from __future__ import annotations

import io
import re
import struct
import zlib
from bisect import bisect_right
from collections.abc import Iterator
from contextlib import suppress
from itertools import accumulate
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

_ORIENTATION = 0x0112  # EXIF tag
_MAX_METADATA_BYTES = 65_536  # bytes of EXIF or XMP that are searched for the orientation
_MIN_BLOCKS, _BYTES_PER_BLOCK = 100_000, 32  # a file may have this many blocks, or one in so many bytes
_XMP_ORIENTATION = re.compile(rb'tiff:Orientation(?:="|>)([1-8])')

_PNG_MARK = b"\x89PNG\r\n\x1a\n"
_PNG_KEPT = (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"acTL", b"fcTL", b"fdAT")
_PNG_TEXTS = (b"tEXt", b"zTXt", b"iTXt")
_RAW_EXIF = b"Raw profile type exif\0"  # older versions of ImageMagick write EXIF as hexadecimal text
_PNG_XMP = b"XML:com.adobe.xmp\0\0\0"  # not compressed

_JPEG_MARK = b"\xff\xd8"
_JPEG_SCAN = 0xDA
_JPEG_WITHOUT_LENGTH = (0x01, *range(0xD0, 0xDA))
_JPEG_APPS = {0xE0: b"JFIF", 0xE2: b"ICC_PROFILE\0", 0xEE: b"Adobe"}  # those that change the pixels
_JPEG_METADATA = (*range(0xE0, 0xF0), 0xFE)  # application data and comments
_JPEG_XMP = b"http://ns.adobe.com/xap/1.0/\0"
_MAX_PROFILE_SEGMENTS = 255  # a profile numbers its segments in one byte
_MARKER = re.compile(rb"\xff[^\xff\0]")

_AVIF_MARKS = (b"ftypavif", b"ftypavis")
_AVIF_CONTAINERS = {b"moov": 0, b"trak": 0, b"meta": 4, b"iinf": 6}  # bytes before the first inner box
_AVIF_CONFIGURATION = re.compile(rb"av1C\x81.(.)", re.DOTALL)
_AVIF_CONFIGURATION_BYTES = 65_536  # bytes at the start of a file that are searched for configurations
_MAX_AVIF_HEADER_BYTES = 16 * 1024 * 1024


class BarePicture(NamedTuple):
    """A picture file without metadata. ``orientation`` is an EXIF orientation; None: the format has its own.

    ``sample_bytes`` is the size of one sample of an AVIF picture, 1 for other formats.
    """

    file: BinaryIO
    orientation: int | None
    sample_bytes: int = 1


def strip_metadata(file: BinaryIO) -> BarePicture:
    """Returns a view of the picture ``file`` without metadata. WebP, GIF and unknown files are returned unchanged.

    The view reads from ``file``, which must stay open.

    Raises:
        ValueError: far more segments or chunks than a file of its size needs.
    """
    size = file.seek(0, io.SEEK_END)
    file.seek(0)
    head = file.read(12)
    file.seek(0)
    if head.startswith(_JPEG_MARK):
        return _strip_jpeg(file, size)
    if head.startswith(_PNG_MARK):
        return _strip_png(file, size)
    if head[4:12] in _AVIF_MARKS:
        return BarePicture(_without_avif_exif(file, size), None, _avif_sample_bytes(file))
    return BarePicture(file, None)


def find_orientation(exif: bytes | None, xmp: bytes | None = None) -> int:
    """Returns the EXIF orientation, 1 to 8; 1 if there is none. Reads only the first table of tags."""
    return _orientation_tag((exif or b"")[:_MAX_METADATA_BYTES]) or _orientation_in_xmp(xmp or b"") or 1


def max_blocks(size_bytes: int) -> int:
    """Returns how many blocks (segments, chunks) a picture file may have. Files of real programs have far fewer."""
    return max(_MIN_BLOCKS, size_bytes // _BYTES_PER_BLOCK)


def _orientation_tag(exif: bytes) -> int | None:
    tiff = exif.removeprefix(b"Exif\0\0")
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(tiff[:4])
    if order is None:
        return None
    with suppress(struct.error):  # truncated metadata does not make the picture invalid
        (start,) = struct.unpack_from(f"{order}I", tiff, 4)
        (count,) = struct.unpack_from(f"{order}H", tiff, start)
        for at in range(start + 2, start + 2 + 12 * count, 12):
            tag, kind = struct.unpack_from(f"{order}HH", tiff, at)
            if tag == _ORIENTATION:
                (value,) = struct.unpack_from(order + {1: "B", 4: "I"}.get(kind, "H"), tiff, at + 8)
                return value if 1 <= value <= 8 else None
    return None


def _orientation_in_xmp(xmp: bytes) -> int | None:
    match = _XMP_ORIENTATION.search(xmp[:_MAX_METADATA_BYTES])
    return int(match[1]) if match else None


class _View(io.RawIOBase):
    """Parts of a file as one file. A part is a range of offsets in the file, or bytes."""

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


def _view(file: BinaryIO, parts: list[range | bytes]) -> BinaryIO:
    return io.BufferedReader(_View(file, parts))


class _KeptRanges:
    """The ranges of a file that are kept, in order; adjacent ones are joined. Counts all blocks, kept or not."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        self._file, self._size = file, size
        self._ranges: list[range | bytes] = []
        self._left = max_blocks(size)

    def count(self) -> None:
        self._left -= 1
        if self._left < 0:
            raise ValueError(f"more than {max_blocks(self._size)} segments")

    def keep(self, start: int, end: int) -> None:
        last = self._ranges[-1] if self._ranges else None
        if isinstance(last, range) and last.stop == start:
            self._ranges[-1] = range(last.start, end)
        else:
            self._ranges.append(range(start, end))

    def file(self) -> BinaryIO:
        """The file itself if all of it is kept."""
        if self._ranges == [range(self._size)]:
            self._file.seek(0)
            return self._file
        return _view(self._file, self._ranges)


def _strip_jpeg(file: BinaryIO, size: int) -> BarePicture:
    kept = _KeptRanges(file, size)
    kept.keep(0, 2)
    exif, xmp, profile_segments = b"", b"", 0
    for code, start, end in _jpeg_segments(file, size):
        kept.count()
        if code not in _JPEG_METADATA:
            kept.keep(start, end)
            continue
        file.seek(start + 4)
        body = file.read(end - start - 4)
        if code == 0xE1:
            exif = exif or (body if body.startswith(b"Exif\0\0") else b"")
            xmp = xmp or (body if body.startswith(_JPEG_XMP) else b"")
        elif code in _JPEG_APPS and body.startswith(_JPEG_APPS[code]):
            profile_segments += code == 0xE2
            if profile_segments <= _MAX_PROFILE_SEGMENTS:
                kept.keep(start, end)
    return BarePicture(kept.file(), find_orientation(exif, xmp))


def _jpeg_segments(file: BinaryIO, size: int) -> Iterator[tuple[int, int, int]]:
    """Yields (marker, start, end) of each segment; the last is the first scan with all that follows."""
    at = 2
    while (start := _next_marker(file, at)) is not None:
        file.seek(start + 1)
        head = file.read(3)
        code, end = head[0], start + 2
        if code in _JPEG_WITHOUT_LENGTH:
            at = end
            continue
        length = int.from_bytes(head[1:], "big") if len(head) == 3 else size
        at = start + 2 + max(2, length)
        if code == _JPEG_SCAN or at >= size:
            yield _JPEG_SCAN, start, size
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


def _strip_png(file: BinaryIO, size: int) -> BarePicture:
    kept = _KeptRanges(file, size)
    kept.keep(0, len(_PNG_MARK))
    orientation, has_profile, at = None, False, len(_PNG_MARK)
    while at + 12 <= size:
        file.seek(at)
        head = file.read(8)
        name, end = head[4:], at + 12 + int.from_bytes(head[:4], "big")
        kept.count()
        if name == b"IEND" or end > size:
            break
        if name in _PNG_KEPT or (name == b"iCCP" and not has_profile):
            has_profile = has_profile or name == b"iCCP"
            kept.keep(at, end)
        elif orientation is None and (name == b"eXIf" or name in _PNG_TEXTS):
            orientation = _png_orientation(name, file.read(min(end - at - 12, 2 * _MAX_METADATA_BYTES)))
        at = end
    kept.keep(at, size)
    return BarePicture(kept.file(), orientation or 1)


def _png_orientation(name: bytes, body: bytes) -> int | None:
    if name == b"eXIf":
        return _orientation_tag(body[:_MAX_METADATA_BYTES])
    if name == b"iTXt":
        return _orientation_in_xmp(body) if body.startswith(_PNG_XMP) else None
    if not body.startswith(_RAW_EXIF):
        return None
    text = body.removeprefix(_RAW_EXIF)
    with suppress(ValueError, zlib.error):  # broken metadata does not make the picture invalid
        if name == b"zTXt":
            text = zlib.decompressobj().decompress(text[1:], 2 * _MAX_METADATA_BYTES)
        lines = text.decode("ascii").split("\n")[3:]  # after an empty line, the name and the length
        return _orientation_tag(bytes.fromhex("".join(lines)))
    return None


def _without_avif_exif(file: BinaryIO, size: int) -> BinaryIO:
    """A view in which EXIF items have another type, so that Pillow parses none. AVIF has its own orientation."""
    parts: list[range | bytes] = []
    at = changed = 0
    while at + 8 <= size and len(parts) < _MIN_BLOCKS:
        file.seek(at)
        head = file.read(16)
        length = int.from_bytes(head[:4], "big")
        if length == 1:
            length = int.from_bytes(head[8:], "big")
        end = min(size, at + length) if length >= 8 else size
        if head[4:8] in _AVIF_CONTAINERS:
            if end - at > _MAX_AVIF_HEADER_BYTES:
                raise ValueError(f"a header of more than {_MAX_AVIF_HEADER_BYTES} bytes")
            file.seek(at)
            box = bytearray(file.read(end - at))
            changed += _rename_exif_items(box, 0, len(box))
            parts.append(bytes(box))
        else:
            parts.append(range(at, end))
        at = end
    file.seek(0)
    return _view(file, [*parts, range(at, size)]) if changed else file


def _avif_sample_bytes(file: BinaryIO) -> int:
    """2 if any picture of the file has more than 8 bits per sample, by its codec configuration (av1C), else 1."""
    file.seek(0)
    header = file.read(_AVIF_CONFIGURATION_BYTES)
    file.seek(0)
    return 2 if any(match[1][0] & 0x40 for match in _AVIF_CONFIGURATION.finditer(header)) else 1


def _rename_exif_items(boxes: bytearray, at: int, end: int) -> int:
    """Renames the EXIF items in ``boxes[at:end]`` and in the boxes inside. Returns how many there were."""
    changed = 0
    while at + 8 <= end:
        length, name = int.from_bytes(boxes[at : at + 4], "big"), bytes(boxes[at + 4 : at + 8])
        start = at + 8
        if length == 1:
            length, start = int.from_bytes(boxes[at + 8 : at + 16], "big"), at + 16
        stop = min(end, at + length) if length >= 8 else end
        if name in _AVIF_CONTAINERS:
            version = boxes[start] if start < stop else 0
            wide_count = 2 if name == b"iinf" and version > 0 else 0
            changed += _rename_exif_items(boxes, start + _AVIF_CONTAINERS[name] + wide_count, stop)
        elif name == b"infe" and start < stop:
            kind = start + (8 if boxes[start] < 3 else 10)  # after version, flags, id and protection
            if boxes[kind : kind + 4] == b"Exif":
                boxes[kind : kind + 4] = b"skip"
                changed += 1
        at = stop
    return changed
