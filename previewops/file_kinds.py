"""The kinds of files that an asset may be, recognized by content. Pure.

The one table of every entrance: assets that a worker opens, ``submit --import`` and ``data:`` uris.
"""

from __future__ import annotations

import re
import zlib
from dataclasses import dataclass
from typing import NamedTuple

HEAD_BYTES = 65_536
"""Bytes at the start of a file by which its kind is recognized."""


@dataclass(frozen=True, slots=True)
class FileKind:
    """A kind of file: its name in messages, the extension of imported files, and whether it is shown and heard.

    ``extra`` is the extra of this package that reads it, and ``module`` what that installs; "" for kinds without.
    """

    name: str
    extension: str
    is_shown: bool = False
    is_heard: bool = False
    extra: str = ""
    module: str = ""


JPEG, PNG, WEBP, GIF, AVIF, TIFF, BMP, ICO = (
    FileKind(name, extension, is_shown=True)
    for name, extension in (
        ("JPEG", "jpg"), ("PNG", "png"), ("WebP", "webp"), ("GIF", "gif"),
        ("AVIF", "avif"), ("TIFF", "tiff"), ("BMP", "bmp"), ("ICO", "ico"),
    )
)  # fmt: skip
HEIF = FileKind("HEIF", "heic", is_shown=True, extra="heif", module="pillow_heif")
JXL = FileKind("JPEG XL", "jxl", is_shown=True, extra="jxl", module="pillow_jxl")
SVG = FileKind("SVG", "svg", is_shown=True, extra="svg", module="resvg_py")
PDF = FileKind("PDF", "pdf", is_shown=True, extra="pdf", module="pypdfium2")
MP4, MOV, WEBM = (
    FileKind(name, name.lower(), is_shown=True, is_heard=True) for name in ("MP4", "MOV", "WebM")
)
WAV, MP3, OGG, FLAC, AAC, M4A = (
    FileKind(name, name.lower(), is_heard=True) for name in ("WAV", "MP3", "Ogg", "FLAC", "AAC", "M4A")
)

PICTURES = (JPEG, PNG, WEBP, GIF, AVIF, HEIF, JXL, SVG, PDF, TIFF, BMP, ICO, MP4, MOV, WEBM)
SOUNDS = (WAV, MP3, OGG, FLAC, AAC, M4A, MP4, MOV, WEBM)


ASSET_KINDS = tuple(dict.fromkeys(PICTURES + SOUNDS))
EXTENSIONS = tuple(kind.extension for kind in ASSET_KINDS)
"""Extensions of stored assets."""


def _unsupported(name: str) -> FileKind:
    return FileKind(name, "")


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
        (rb"II\*\0|MM\0\*", TIFF),
        (rb"BM....\x00\x00\x00\x00", BMP),
        (rb"\x00\x00\x01\x00[\x01-\xff]\x00", ICO),
        (rb"\xff\x0a|\x00\x00\x00\x0cJXL \r\n\x87\n", JXL),
        (rb"%PDF-", PDF),
        (rb"\x1a\x45\xdf\xa3", WEBM),
        (rb"....(?:moov|mdat|wide|free|skip)", MOV),
        (rb"%!PS", _unsupported("PostScript")),
        (rb"PK\x03\x04", _unsupported("ZIP")),
        (rb"8BPS", _unsupported("Photoshop")),
        (rb"RIFF....AVI ", _unsupported("AVI")),
    )
)

_AVIF_BRANDS = {b"avif", b"avis"}
_HEIF_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"}
_PICTURE_BRANDS = {b"mif1", b"mif2", b"miaf", b"msf1"}  # of pictures in any codec
_SOUND_BRANDS = {b"M4A ", b"M4B ", b"M4P "}
_MAX_BRANDS_BYTES = 1_024

_PDF_WITHIN = 1_024  # bytes that may be in front, as readers of PDF accept it
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
GZIP_START = b"\x1f\x8b"
"""Of an SVG compressed by gzip (SVGZ), among others."""

_SVG_START = re.compile(
    rb"(?:<\?[^>]*+>\s*+|<!--(?:[^-]|-(?!->))*+-->\s*+|<!DOCTYPE[^>\[]*+(?:\[[^\]]*+\]\s*+)?>\s*+)*+<(?:[a-zA-Z]+:)?svg[\s>/]"
)


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
    if (text := _markup(head).lstrip()).startswith(b"<"):
        return _kind_by_markup(text)
    if head.startswith(GZIP_START):
        return _unsupported("gzip")
    if b"%PDF-" in head[:_PDF_WITHIN]:
        return PDF
    sound = find_sound(head)
    return sound.kind if sound else None


def describe_head(head: bytes) -> str:
    """What a file is by its first HEAD_BYTES, for the "found" of a message."""
    if not head:
        return "an empty file"
    kind = detect_kind(head)
    return kind.name if kind else f"a file that starts with the bytes {head[:8].hex(' ')}"


def detect_asset_kind(head: bytes) -> FileKind | None:
    """Returns the kind of a file that can be an asset; None for every other file."""
    kind = detect_kind(head)
    return kind if kind in ASSET_KINDS else None


def _kind_by_brands(head: bytes) -> FileKind:
    """The kind of an ISO base media file (ISO/IEC 14496-12), by all of its brands: the first one says little."""
    length = min(int.from_bytes(head[:4], "big"), _MAX_BRANDS_BYTES, len(head))
    brands = {head[8:12], *(head[at : at + 4] for at in range(16, length - 3, 4))}
    if brands & _AVIF_BRANDS:
        return AVIF
    if brands & _HEIF_BRANDS:
        return HEIF
    if brands & _PICTURE_BRANDS:
        return AVIF if b"av01" in head else HEIF
    if head[8:12] in _SOUND_BRANDS:
        return M4A
    return MOV if head[8:12] == b"qt  " else MP4


def _markup(head: bytes) -> bytes:
    """Returns what may be text in UTF-8: unpacked by gzip, from UTF-16, or ``head`` without a byte order mark."""
    if head.startswith(GZIP_START):
        try:
            head = zlib.decompressobj(31).decompress(head, HEAD_BYTES)
        except zlib.error:
            return b""
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return head.decode("utf-16", "ignore").encode("utf-8", "ignore")
    return head.removeprefix(_BYTE_ORDER_MARK)


def _kind_by_markup(text: bytes) -> FileKind | None:
    """SVG if the first element is one, behind a declaration, comments and a document type."""
    if _SVG_START.match(text):
        return SVG
    return _unsupported("XML") if text.startswith(b"<?xml") else None


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
    for pattern, kind in _SIGNATURES:
        if kind.is_heard and pattern.match(body):
            return FoundSound(kind, offset, 0)
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
