"""GIF files: the frames of an animation, composed as browsers do.

What no frame covers is transparent, and so is what a frame leaves behind that is disposed of "to the background".
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from io import SEEK_END, BytesIO
from typing import BinaryIO

from PIL import Image

from previewops.worker.render.decode.file_views import max_blocks
from previewops.worker.render.layout.geometry import Box, Size

EXTENSION, IMAGE = 0x21, 0x2C
"""First bytes of blocks."""

_TRAILER = 0x3B
_GRAPHIC_CONTROL = 0xF9
_APPLICATION = 0xFF
_LOOPS = re.compile(rb"\x0b(?:NETSCAPE2\.0|ANIMEXTS1\.0)\x03\x01(..)", re.DOTALL)
_TICK_MS = 10
_OWN_COLOURS = 0x80
_TO_BACKGROUND, _TO_PREVIOUS = 2, 3  # disposal methods


@dataclass(frozen=True, slots=True)
class GifFrame:
    """One frame: its place, how it is disposed of, and the bytes that make it a file of its own."""

    box: Box
    disposal: int
    transparent: int | None  # index of the transparent colour
    flags: int  # of the image descriptor
    colours: bytes
    data: range  # offsets of the compressed indices
    is_cut: bool
    delay_ms: int = 0


@dataclass(frozen=True, slots=True)
class GifFile:
    """The frames of a GIF file. ``is_cut``: a block is not whole. ``plays``: None: without an end."""

    size: Size
    frames: tuple[GifFrame, ...]
    is_cut: bool
    plays: int | None = 1


def read_gif(file: BinaryIO, max_frames: int) -> GifFile:
    """Reads the blocks of ``file`` without decoding, up to ``max_frames`` + 1 frames of some area.

    Raises:
        ValueError: no frame, or far more blocks than a file of its size needs.
    """
    size = file.seek(0, SEEK_END)
    blocks = max_blocks(size)
    file.seek(0)
    header = file.read(13)
    if len(header) < 13:
        raise ValueError("a header that is cut")
    shared = read_colours(file, header[10])
    frames: list[GifFrame] = []
    control = b""
    is_cut = False
    plays: int | None = 1
    while len(frames) <= max_frames and (kind := file.read(1)) and kind[0] in (EXTENSION, IMAGE):
        if kind[0] == EXTENSION:
            label = file.read(1)
            at = file.tell()
            blocks -= 1 + skip_blocks(file, blocks)
            if label and label[0] == _GRAPHIC_CONTROL:
                after = file.tell()
                file.seek(at + 1)
                control = file.read(4)
                file.seek(after)
            elif label and label[0] == _APPLICATION:
                after = file.tell()
                plays = _read_plays(file, at, plays)
                file.seek(after)
        else:
            frame = _read_frame(file, size, shared, control, blocks)
            control = b""
            if frame is None:
                is_cut = True
                break
            blocks -= 2 + len(frame.data) // 256
            is_cut = frame.is_cut
            if min(frame.box.size) > 0:
                frames.append(frame)
        if blocks < 0:
            raise ValueError("too many small blocks")
    if not frames:
        raise ValueError("no frame")
    return GifFile(_canvas(header, frames[0]), tuple(frames), is_cut, plays)


def _read_plays(file: BinaryIO, at: int, known: int | None) -> int | None:
    """How often the animation plays by the application extension at ``at``: once more than it counts."""
    file.seek(at)
    match = _LOOPS.match(file.read(16))
    if match is None:
        return known
    count = int.from_bytes(match[1], "little")
    return count + 1 if count else None


def _canvas(header: bytes, first: GifFrame) -> Size:
    """The size of the canvas; the first frame extends it."""
    width, height = struct.unpack_from("<HH", header, 6)
    return Size(max(width, first.box.right), max(height, first.box.bottom))


def _read_frame(file: BinaryIO, size: int, shared: bytes, control: bytes, max_count: int) -> GifFrame | None:
    """Reads the frame whose descriptor follows; None if that is cut."""
    descriptor = file.read(9)
    if len(descriptor) < 9:
        return None
    left, top, width, height, flags = struct.unpack("<HHHHB", descriptor)
    colours = read_colours(file, flags) or shared
    start = file.tell()
    file.read(1)
    count, is_whole = _walk_blocks(file, max_count)
    if count > max_count:
        raise ValueError("too many small blocks")
    packed, transparent = (control[0], control[3]) if len(control) == 4 else (0, 0)
    return GifFrame(
        box=Box.at(left, top, (width, height)),
        disposal=packed >> 2 & 7,
        transparent=transparent if packed & 1 else None,
        flags=flags,
        colours=colours,
        data=range(start, min(file.tell(), size)),
        is_cut=not is_whole,
        delay_ms=int.from_bytes(control[1:3], "little") * _TICK_MS,
    )


def read_colours(file: BinaryIO, flags: int) -> bytes:
    """Reads the colour table that ``flags`` announces; empty if there is none."""
    return file.read(3 << ((flags & 7) + 1)) if flags & _OWN_COLOURS else b""


def skip_blocks(file: BinaryIO, limit: int) -> int:
    """Skips up to ``limit`` blocks, to the end of their sequence. Returns how many there were."""
    return _walk_blocks(file, limit)[0]


def _walk_blocks(file: BinaryIO, limit: int) -> tuple[int, bool]:
    """As ``skip_blocks``; also returns whether the sequence has its end."""
    count, length = 0, b""
    while count <= limit and (length := file.read(1)) and length[0]:
        file.seek(length[0], 1)
        count += 1
    return count, length == b"\0"


class GifCanvas:
    """Composes the frames of ``file`` one after the other."""

    def __init__(self, file: BinaryIO, gif: GifFile) -> None:
        self._file = file
        self._gif = gif
        self.position = 0  # of the frame that is composed next
        self._canvas: Image.Image | None = None  # what the next frame is drawn on; None: nothing yet
        self._to_clear: Box | None = None
        self._shown: Image.Image | None = None

    def frame_at(self, index: int) -> Image.Image:
        """Returns frame ``index`` as RGB or RGBA; the picture is valid until the next call.

        Raises any exception of Pillow's decoder.
        """
        if index < self.position - 1:
            self.position, self._canvas, self._shown, self._to_clear = 0, None, None, None
        while self.position <= index:
            self._compose(self._gif.frames[self.position])
            self.position += 1
        assert self._shown is not None
        return self._shown

    def _compose(self, frame: GifFrame) -> None:
        self._shown = None
        if self._canvas is not None and self._to_clear is not None:
            self._canvas = self._canvas if self._canvas.mode == "RGBA" else self._canvas.convert("RGBA")
            self._canvas.paste((0, 0, 0, 0), self._to_clear)
        self._to_clear = None
        picture = self._decode(frame)
        covers = frame.box == Box(0, 0, *self._gif.size)
        if covers and (self._canvas is None or picture.mode == "RGB"):
            shown, before = picture, self._canvas
        else:
            canvas = self._canvas or Image.new("RGBA", self._gif.size)
            if canvas.mode != "RGBA":
                canvas = canvas.convert("RGBA")
            keeps = frame.disposal == _TO_PREVIOUS
            before = canvas if keeps else None
            shown = canvas.copy() if keeps else canvas
            shown.paste(picture, frame.box[:2], picture if picture.mode == "RGBA" else None)
        del picture
        self._shown = shown
        if frame.disposal == _TO_PREVIOUS:
            self._canvas = before
        elif frame.disposal == _TO_BACKGROUND and covers:
            self._canvas = None
        else:
            self._canvas = shown
            self._to_clear = frame.box if frame.disposal == _TO_BACKGROUND else None

    def _decode(self, frame: GifFrame) -> Image.Image:
        """Decodes a frame as a file of its own."""
        width, height = frame.box.size
        bits = max(0, (len(frame.colours) // 3).bit_length() - 2)  # the table has two to the bits + 1 colours
        own = _OWN_COLOURS if frame.colours else 0
        head = b"GIF89a" + struct.pack("<HHBBB", width, height, 0x70, 0, 0)
        if frame.transparent is not None:
            head += struct.pack("<BBBBHBB", EXTENSION, _GRAPHIC_CONTROL, 4, 1, 0, frame.transparent, 0)
        head += struct.pack("<BHHHHB", IMAGE, 0, 0, width, height, own | frame.flags & 0x40 | bits)
        self._file.seek(frame.data.start)
        data = self._file.read(len(frame.data))
        content = BytesIO(head + frame.colours + data + bytes([_TRAILER]))
        with Image.open(content, formats=("GIF",)) as image:
            return image.convert("RGB" if frame.transparent is None else "RGBA")
