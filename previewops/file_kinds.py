"""The kinds of files that an asset may be, recognized by content. Pure.

The one table of every entrance: assets that a worker opens, ``submit --import`` and ``data:`` uris.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

HEAD_BYTES = 65_536
"""Bytes at the start of a file by which its kind is recognized."""


class Role(Enum):
    """What a file of a kind can be."""

    PICTURE = "picture"
    SOUND = "sound"
    UNSUPPORTED = "unsupported"


@dataclass(frozen=True, slots=True)
class FileKind:
    """A kind of file: its name in messages, the extension of imported files, and what it can be."""

    name: str
    extension: str
    role: Role


def _picture(name: str, extension: str) -> FileKind:
    return FileKind(name, extension, Role.PICTURE)


def _sound(name: str, extension: str) -> FileKind:
    return FileKind(name, extension, Role.SOUND)


def _unsupported(name: str) -> FileKind:
    return FileKind(name, "", Role.UNSUPPORTED)


JPEG, PNG, WEBP = _picture("JPEG", "jpg"), _picture("PNG", "png"), _picture("WebP", "webp")
GIF, AVIF = _picture("GIF", "gif"), _picture("AVIF", "avif")
WAV, MP3, OGG, FLAC = _sound("WAV", "wav"), _sound("MP3", "mp3"), _sound("Ogg", "ogg"), _sound("FLAC", "flac")
AAC, M4A = _sound("AAC", "aac"), _sound("M4A", "m4a")
_HEIF = _unsupported("HEIF")

PICTURES = (JPEG, PNG, WEBP, GIF, AVIF)
SOUNDS = (WAV, MP3, OGG, FLAC, AAC, M4A)

_SIGNATURES: tuple[tuple[re.Pattern[bytes], FileKind], ...] = tuple(
    (re.compile(pattern, re.DOTALL), kind)
    for pattern, kind in (
        (rb"\xff\xd8", JPEG),
        (rb"\x89PNG\r\n\x1a\n", PNG),
        (rb"RIFF....WEBP", WEBP),
        (rb"GIF8[79]a", GIF),
        (rb"RIFF....WAVE", WAV),
        (rb"OggS", OGG),
        (rb"fLaC", FLAC),
        (rb"II\*\0|MM\0\*", _unsupported("TIFF")),
        (rb"BM", _unsupported("BMP")),
        (rb"%PDF", _unsupported("PDF")),
        (rb"%!PS", _unsupported("PostScript")),
        (rb"<svg", _unsupported("SVG")),
        (rb"<\?xml", _unsupported("XML")),
        (rb"PK\x03\x04", _unsupported("ZIP")),
        (rb"8BPS", _unsupported("Photoshop")),
    )
)

_AVIF_BRANDS = {b"avif", b"avis"}
_HEIF_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"}
_PICTURE_BRANDS = {b"mif1", b"mif2", b"miaf", b"msf1"}  # of pictures in any codec
_MAX_BRANDS_BYTES = 1_024


def list_names(kinds: tuple[FileKind, ...]) -> str:
    """The names of ``kinds`` for the "allowed" of a message."""
    names = [kind.name for kind in kinds]
    return f"{', '.join(names[:-1])} or {names[-1]}"


def detect_kind(head: bytes) -> FileKind | None:
    """Returns the kind of a file by its first HEAD_BYTES; None if it is unknown."""
    for pattern, kind in _SIGNATURES:
        if pattern.match(head):
            return kind
    if head[4:8] == b"ftyp":
        return _kind_by_brands(head)
    sound = find_sound(head)
    return sound.kind if sound else None


def _kind_by_brands(head: bytes) -> FileKind:
    """The kind of an ISO base media file (ISO/IEC 14496-12), by all of its brands: the first one says little."""
    length = min(int.from_bytes(head[:4], "big"), _MAX_BRANDS_BYTES, len(head))
    brands = {head[8:12], *(head[at : at + 4] for at in range(16, length - 3, 4))}
    if brands & _AVIF_BRANDS:
        return AVIF
    if brands & _HEIF_BRANDS:
        return _HEIF
    if brands & _PICTURE_BRANDS:
        return AVIF if b"av01" in head else _HEIF
    return M4A


class FoundSound(NamedTuple):
    """A sound inside a file: its kind and the offset of its first byte, after tags and junk.

    ``junk_bytes`` is how much in front of it is neither a tag nor padding of one.
    """

    kind: FileKind
    offset: int
    junk_bytes: int


def find_sound(head: bytes) -> FoundSound | None:
    """Finds the sound at the start of a file as players do: behind ID3v2 tags, and MPEG audio behind junk.

    Only ``head`` is searched, but a tag may be longer: its offset is then behind ``head``, and the kind is MP3.
    """
    offset = _end_of_tags(head)
    if offset >= len(head):
        return FoundSound(MP3, offset, 0) if offset else None
    body = head[offset:]
    if body.startswith(b"fLaC"):
        return FoundSound(FLAC, offset, 0)
    first = _find_mpeg_frames(body) or _mpeg_at_start(body)
    if first is None:
        return FoundSound(MP3, offset, 0) if offset else None
    kind, at = first
    is_padding = offset > 0 and not body[:at].strip(b"\0")
    return FoundSound(kind, offset + at, 0 if is_padding else at)


def _end_of_tags(head: bytes) -> int:
    """The end of the ID3v2 tags at the start of ``head``; 0 if there are none."""
    at = 0
    while head[at : at + 3] == b"ID3":
        header = head[at : at + 10].ljust(10, b"\0")
        size = 0
        for byte in header[6:]:
            size = size << 7 | byte & 0x7F
        at += 10 + size + (10 if header[5] & 0x10 else 0)  # a footer repeats the header
    return at


_MPEG_SYNC = re.compile(rb"\xff[\xe2-\xff]")
_FRAMES_IN_A_ROW = 3  # fewer occur by chance in other data
_BITRATES = {  # kbit/s of layer III, by whether the version is MPEG-1
    True: (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    False: (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
_SAMPLE_RATES = (44_100, 48_000, 32_000)


def _find_mpeg_frames(data: bytes) -> tuple[FileKind, int] | None:
    """The kind and offset of the first MPEG layer III or ADTS frame that others of its kind follow."""
    for match in _MPEG_SYNC.finditer(data):
        at, kinds = match.start(), set[FileKind]()
        for _ in range(_FRAMES_IN_A_ROW):
            frame = _mpeg_frame(data[at : at + 6])
            if frame is None:
                break
            kinds.add(frame[0])
            at += frame[1]
        else:
            if len(kinds) == 1:
                return kinds.pop(), match.start()
    return None


def _mpeg_at_start(data: bytes) -> tuple[FileKind, int] | None:
    """The kind by the first header alone, for a file of a few frames: eleven set bits, version, layer."""
    if len(data) < 2 or data[0] != 0xFF or data[1] & 0xE0 != 0xE0:
        return None
    return (MP3 if data[1] >> 1 & 3 else AAC), 0


def _mpeg_frame(header: bytes) -> tuple[FileKind, int] | None:
    """The kind and length in bytes of the frame with this header; None if it is not valid."""
    if len(header) < 6 or header[0] != 0xFF or header[1] & 0xE0 != 0xE0:
        return None
    version, layer = header[1] >> 3 & 3, header[1] >> 1 & 3
    if layer == 0:
        length = (header[3] & 3) << 11 | header[4] << 3 | header[5] >> 5
        valid = header[1] & 0xF0 == 0xF0 and header[2] >> 2 & 15 < 13 and length > 7
        return (AAC, length) if valid else None
    bitrate, rate = header[2] >> 4, header[2] >> 2 & 3
    if layer != 1 or version == 1 or rate == 3 or bitrate in (0, 15):
        return None
    is_first = version == 3
    samples_per_s = _SAMPLE_RATES[rate] >> (0 if is_first else 1 if version == 2 else 2)
    length = (144 if is_first else 72) * _BITRATES[is_first][bitrate] * 1000 // samples_per_s
    return MP3, length + (header[2] >> 1 & 1)
