"""PNG files: keeps the chunks that make pixels, and reads colour space and orientation itself.

As browsers do, it skips ancillary chunks whatever is in them, also with a wrong checksum, and shows the default
picture of an animation whose chunks are out of sequence (PNG, third edition).
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from typing import BinaryIO, NamedTuple

from previewops.worker.render.decode.colour import SRGB_PRIMARIES, ColourSpace, coded_colour
from previewops.worker.render.decode.exif import MAX_EXIF_BYTES, find_orientation
from previewops.worker.render.decode.file_views import KeptParts

PNG_MARK = b"\x89PNG\r\n\x1a\n"

_MAX_PROFILE_BYTES = 8 * 1024 * 1024  # of an unpacked colour profile; a larger one is ignored
_MAX_FACT_BYTES = _MAX_PROFILE_BYTES  # of a chunk that is read as a whole
_PALETTE, _GREY, _COLOUR = 3, 0, 2  # colour types
_TEXTS = (b"tEXt", b"zTXt")
_RAW_EXIF = b"Raw profile type exif\0"  # older versions of ImageMagick write EXIF as hexadecimal text
_FACTS = (b"tRNS", b"iCCP", b"cICP", b"sRGB", b"gAMA", b"cHRM", b"eXIf")
_ANIMATION = (b"acTL", b"fcTL", b"fdAT")


class _Chunk(NamedTuple):
    name: bytes
    start: int
    end: int  # of the checksum, if it is in the file
    is_cut: bool


class _Header(NamedTuple):
    width: int
    height: int
    depth: int
    colour_type: int


@dataclass(slots=True)
class PngFile:
    """What the chunks of a PNG file say. ``file`` has only those that make pixels.

    ``transparent`` has the samples of the transparent colour, if Pillow cannot apply it: those of 16 bits.
    ``is_cut``: the end of the file is missing.
    """

    file: BinaryIO
    profile: bytes | None
    colour: ColourSpace | None
    orientation: int
    transparent: tuple[int, ...]
    is_cut: bool
    is_animated: bool


def read_png(file: BinaryIO, size: int, *, animated: bool = True) -> PngFile:
    """Reads the chunks of ``file``, which has ``size`` bytes. Without ``animated`` only the default picture is kept.

    Raises:
        ValueError: far more chunks than a file of its size needs.
    """
    reading = _Reading(file, size)
    reading.animation.in_order = animated
    reading.run()
    keeps_animation = reading.animation.is_valid
    kept = KeptParts(file, size)
    kept.keep(0, len(PNG_MARK))
    for chunk in reading.kept:
        if chunk.name in _ANIMATION and not keeps_animation:
            continue
        if chunk.is_cut:
            kept.add(struct.pack(">I", chunk.end - chunk.start - 8) + chunk.name)
            kept.keep(chunk.start + 8, chunk.end)
            kept.add(bytes(4))
        elif chunk.name == b"IHDR" and reading.transparency:
            kept.keep(chunk.start, chunk.end)
            kept.add(reading.transparency)
        else:
            kept.keep(chunk.start, chunk.end)
    if not reading.has_end:
        kept.add(_chunk(b"IEND", b""))
    return PngFile(
        kept.file(),
        reading.profile,
        reading.colour,
        reading.orientation or 1,
        reading.transparent,
        is_cut=not reading.has_end,
        is_animated=keeps_animation,
    )


def _chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


@dataclass(slots=True)
class _Animation:
    """Whether the chunks of an animation are complete and in sequence."""

    declared: int | None = None  # frames
    frames: int = 0
    next_number: int = 0
    canvas: tuple[int, int] = (0, 0)
    in_order: bool = True
    frame_has_data: bool = True

    @property
    def is_valid(self) -> bool:
        return self.in_order and self.frame_has_data and self.frames > 0 and self.frames == self.declared

    def add_frame(self, body: bytes, *, is_default: bool) -> None:
        """Adds an fcTL. ``is_default``: its data is the default picture."""
        if len(body) != 26:
            self.in_order = False
            return
        number, width, height, left, top = struct.unpack_from(">5I", body)
        inside = (
            width > 0 and left + width <= self.canvas[0] and height > 0 and top + height <= self.canvas[1]
        )
        if is_default:
            inside = inside and (width, height) == self.canvas
        self.in_order = self.in_order and self.frame_has_data and inside and number == self.next_number
        self.next_number += 1
        self.frames += 1
        self.frame_has_data = False

    def add_data(self, number: int | None) -> None:
        """Adds an fdAT with its sequence number, or the default picture's data (None) as that of a frame."""
        self.frame_has_data = True
        if number is not None:
            self.in_order = self.in_order and self.frames > 0 and number == self.next_number
            self.next_number += 1


class _Reading:
    """One pass over the chunks of a file."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        self._file, self._size = file, size
        self._header: _Header | None = None
        self._facts: dict[bytes, bytes] = {}
        self._data_seen = False
        self.kept: list[_Chunk] = []
        self.animation = _Animation()
        self.orientation: int | None = None
        self.has_end = False
        self.transparent: tuple[int, ...] = ()
        self.transparency = b""  # a tRNS chunk for Pillow

    def run(self) -> None:
        blocks = KeptParts(self._file, self._size)
        for chunk in self._chunks():
            blocks.count()
            if chunk.name == b"IHDR" and self._header is None:
                self._read_header(chunk)
            elif chunk.name in (b"PLTE", b"IDAT"):
                self._keep_pixels(chunk)
            elif chunk.name in _ANIMATION:
                self._read_animation(chunk)
            elif not self._data_seen and chunk.name in _FACTS:
                self._read_fact(chunk)
            elif self.orientation is None and (chunk.name == b"eXIf" or chunk.name in _TEXTS):
                self._read_orientation(chunk)
        self._read_transparency()

    def _chunks(self) -> Iterator[_Chunk]:
        at = len(PNG_MARK)
        while at + 8 <= self._size:
            self._file.seek(at)
            head = self._file.read(8)
            end = at + 12 + int.from_bytes(head[:4], "big")
            if head[4:] == b"IEND":
                self.has_end = True
                return
            yield _Chunk(head[4:], at, min(end, self._size), end > self._size)
            at = end

    def _body(self, chunk: _Chunk) -> bytes | None:
        """The content of a chunk; None if it is cut, too large, or has a wrong checksum."""
        length = chunk.end - chunk.start - 12
        if chunk.is_cut or length > _MAX_FACT_BYTES:
            return None
        self._file.seek(chunk.start + 4)
        content = self._file.read(length + 8)
        return content[4:-4] if zlib.crc32(content[:-4]) == int.from_bytes(content[-4:], "big") else None

    def _read_header(self, chunk: _Chunk) -> None:
        self._file.seek(chunk.start + 8)
        body = self._file.read(13)
        if len(body) == 13:
            self._header = _Header(*struct.unpack_from(">IIBB", body))
            self.animation.canvas = self._header[:2]
            self.kept.append(chunk)

    def _keep_pixels(self, chunk: _Chunk) -> None:
        if chunk.name == b"IDAT":
            if not self._data_seen and self.animation.frames:
                self.animation.add_data(None)
            self._data_seen = True
        elif self._header is None or self._header.colour_type != _PALETTE:
            return  # a suggestion for displays of few colours
        self.kept.append(chunk)

    def _read_animation(self, chunk: _Chunk) -> None:
        if chunk.name == b"fdAT":
            self._file.seek(chunk.start + 8)
            self.animation.add_data(int.from_bytes(self._file.read(4), "big"))
            self.animation.in_order = self.animation.in_order and not chunk.is_cut
            self.kept.append(chunk)
            return
        body = self._body(chunk)
        if chunk.name == b"fcTL":
            self.animation.add_frame(body or b"", is_default=not self._data_seen)
        elif body is None or len(body) != 8 or self._data_seen or self.animation.declared is not None:
            return
        else:
            self.animation.declared = int.from_bytes(body[:4], "big")
        self.kept.append(chunk)

    def _read_fact(self, chunk: _Chunk) -> None:
        body = self._body(chunk)
        if body is not None and chunk.name not in self._facts:
            self._facts[chunk.name] = body
            if chunk.name == b"eXIf":
                self.orientation = find_orientation(body)

    def _read_orientation(self, chunk: _Chunk) -> None:
        """Reads an eXIf chunk behind the data, or EXIF as text."""
        self._file.seek(chunk.start + 8)
        body = self._file.read(min(chunk.end - chunk.start - 12, 2 * MAX_EXIF_BYTES))
        if chunk.name == b"eXIf":
            self.orientation = find_orientation(body)
        elif body.startswith(_RAW_EXIF):
            self.orientation = find_orientation(_unpack_raw_exif(chunk.name, body.removeprefix(_RAW_EXIF)))

    def _read_transparency(self) -> None:
        """Prepares tRNS for Pillow, which compares samples as it has scaled them, and cannot with 16 bits."""
        body, header = self._facts.get(b"tRNS"), self._header
        if body is None or header is None:
            return
        if header.colour_type == _PALETTE:
            self.transparency = _chunk(b"tRNS", body)
        elif len(body) == {_GREY: 2, _COLOUR: 6}.get(header.colour_type):
            samples = struct.unpack(f">{len(body) // 2}H", body)
            if max(samples) >= 1 << header.depth:
                return  # no pixel can have it
            if header.depth == 16 and not self.animation.is_valid:
                self.transparent = samples
                return
            scale = 255 // ((1 << header.depth) - 1) if header.depth < 8 else 1
            scaled = [min(sample * scale, 65_535) for sample in samples]
            self.transparency = _chunk(b"tRNS", struct.pack(f">{len(scaled)}H", *scaled))

    @cached_property
    def profile(self) -> bytes | None:
        """The unpacked ICC profile, if it counts and can be unpacked."""
        if self._coded_colour is not None:
            return None
        _name, _, packed = self._facts.get(b"iCCP", b"").partition(b"\0")
        with suppress(zlib.error):  # a broken profile does not make the picture invalid
            unpacker = zlib.decompressobj()
            profile = unpacker.decompress(packed[1:], _MAX_PROFILE_BYTES)
            return profile if profile and not unpacker.unconsumed_tail else None
        return None

    @property
    def _coded_colour(self) -> ColourSpace | None:
        body = self._facts.get(b"cICP", b"")
        # RGB of full range is all that PNG can have.
        return coded_colour(body[0], body[1]) if len(body) == 4 and body[2:] == b"\0\1" else None

    @property
    def colour(self) -> ColourSpace | None:
        """The colour space where no profile counts: cICP before sRGB before gAMA, to which cHRM belongs."""
        if (coded := self._coded_colour) is not None:
            return coded
        gamma = self._facts.get(b"gAMA", b"")
        if self.profile or b"sRGB" in self._facts or len(gamma) != 4:
            return None
        exponent = int.from_bytes(gamma, "big") / 100_000
        if not 0.1 <= exponent <= 10:
            return None
        points = self._facts.get(b"cHRM", b"")
        values = [value / 100_000 for value in struct.unpack(">8I", points)] if len(points) == 32 else []
        return _gamma_space(1 / exponent, values)


def _gamma_space(gamma: float, values: list[float]) -> ColourSpace:
    if not values:
        # An exponent of 2.2 alone is how files from before sRGB name it.
        return (
            ColourSpace(SRGB_PRIMARIES) if abs(gamma - 2.2) < 0.02 else ColourSpace(SRGB_PRIMARIES, 0, gamma)
        )
    a, b, c, d, e, f, g, h = values
    return ColourSpace((a, b, c, d, e, f, g, h), 0, gamma)


def _unpack_raw_exif(name: bytes, text: bytes) -> bytes | None:
    with suppress(ValueError, zlib.error):  # broken metadata does not make the picture invalid
        if name == b"zTXt":
            text = zlib.decompressobj().decompress(text[1:], 2 * MAX_EXIF_BYTES)
        lines = text.decode("ascii").split("\n")[3:]  # after an empty line, the name and the length
        return bytes.fromhex("".join(lines))
    return None
