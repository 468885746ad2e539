"""AVIF and HEIF files: hides EXIF from Pillow, and reads what the boxes say about samples and colours."""

from __future__ import annotations

import re
from typing import BinaryIO, NamedTuple

from previewops.worker.render.decode.colour import (
    BT709_TRANSFERS,
    SRGB_TRANSFER,
    ColourSpace,
    coded_colour,
)
from previewops.worker.render.decode.file_views import MIN_BLOCKS, view_parts

_CONTAINERS = {b"moov": 0, b"trak": 0, b"meta": 4, b"iinf": 6}  # bytes before the first inner box
_CONFIGURATION = re.compile(rb"av1C\x81.(.)", re.DOTALL)
_COLOUR = re.compile(rb"colrnclx(..)(..)", re.DOTALL)
_SEARCHED_BYTES = 65_536  # bytes at the start of a file that are searched for configurations and colours
_MAX_HEADER_BYTES = 16 * 1024 * 1024
_BRAND = slice(8, 12)
AVIF_BRANDS = (b"avif", b"avis", b"mif1", b"msf1")
"""Those that Pillow knows."""

HEIF_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1")
"""Those that pillow-heif knows."""


class AvifFile(NamedTuple):
    """An AVIF or HEIF file without EXIF. ``is_cut``: a box is not whole.

    ``sample_bytes`` is 2 if any of its pictures has more than 8 bits per sample.
    """

    file: BinaryIO
    sample_bytes: int
    colour: ColourSpace | None
    is_cut: bool


def read_avif(file: BinaryIO, size: int, brands: tuple[bytes, ...] = AVIF_BRANDS) -> AvifFile:
    """Reads the boxes of ``file``, which has ``size`` bytes. The decoder knows ``brands``, the first one best.

    Raises:
        ValueError: a header that is far too large.
    """
    file.seek(0)
    header = file.read(_SEARCHED_BYTES)
    has_wide = any(match[1][0] & 0x40 for match in _CONFIGURATION.finditer(header))
    bare, is_cut = _without_exif(file, size)
    if header[_BRAND] not in brands:  # one of the compatible brands says what it is
        bare = view_parts(bare, [range(_BRAND.start), brands[0], range(_BRAND.stop, size)])
    return AvifFile(bare, 2 if has_wide else 1, _coded_colour(header), is_cut)


def _coded_colour(header: bytes) -> ColourSpace | None:
    """The colour space of the first picture. Browsers show the curves of television as that of sRGB."""
    match = _COLOUR.search(header)
    if match is None:
        return None
    primaries, transfer = (int.from_bytes(number, "big") for number in match.groups())
    return coded_colour(primaries, SRGB_TRANSFER if transfer in BT709_TRANSFERS else transfer)


def _without_exif(file: BinaryIO, size: int) -> tuple[BinaryIO, bool]:
    """A view in which EXIF items have another type, so that Pillow parses none, and whether a box is cut.

    AVIF has its own orientation.
    """
    parts: list[range | bytes] = []
    at = changed = 0
    is_cut = False
    while at + 8 <= size and len(parts) < MIN_BLOCKS:
        file.seek(at)
        head = file.read(16)
        length = int.from_bytes(head[:4], "big")
        if length == 1:
            length = int.from_bytes(head[8:], "big")
        end = min(size, at + length) if length >= 8 else size
        is_cut = is_cut or at + length > size
        if head[4:8] in _CONTAINERS:
            if end - at > _MAX_HEADER_BYTES:
                raise ValueError(f"a header of more than {_MAX_HEADER_BYTES} bytes")
            file.seek(at)
            box = bytearray(file.read(end - at))
            changed += _rename_exif_items(box, 0, len(box))
            parts.append(bytes(box))
        else:
            parts.append(range(at, end))
        at = end
    file.seek(0)
    return view_parts(file, [*parts, range(at, size)]) if changed else file, is_cut


def _rename_exif_items(boxes: bytearray, at: int, end: int) -> int:
    """Renames the EXIF items in ``boxes[at:end]`` and in the boxes inside. Returns how many there were."""
    changed = 0
    while at + 8 <= end:
        length, name = int.from_bytes(boxes[at : at + 4], "big"), bytes(boxes[at + 4 : at + 8])
        start = at + 8
        if length == 1:
            length, start = int.from_bytes(boxes[at + 8 : at + 16], "big"), at + 16
        stop = min(end, at + length) if length >= 8 else end
        if name in _CONTAINERS:
            version = boxes[start] if start < stop else 0
            wide_count = 2 if name == b"iinf" and version > 0 else 0
            changed += _rename_exif_items(boxes, start + _CONTAINERS[name] + wide_count, stop)
        elif name == b"infe" and start < stop:
            kind = start + (8 if boxes[start] < 3 else 10)  # after version, flags, id and protection
            if boxes[kind : kind + 4] == b"Exif":
                boxes[kind : kind + 4] = b"skip"
                changed += 1
        at = stop
    return changed
