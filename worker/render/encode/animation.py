"""Writes animations while their frames are drawn: one frame per card, or several if it plays, with their durations.

Each frame is passed to all animations of a job before the next one is drawn. Animated images are assembled from still
files. Memory use is one frame, frames are never merged, and available stills are not encoded again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from io import BytesIO
from typing import BinaryIO

from PIL import Image, ImageChops

from previewops.worker.render.encode.apng import ApngAnimation
from previewops.worker.render.encode.frames import Piece, RenderedFrame
from previewops.worker.render.encode.gif import GifAnimation
from previewops.worker.render.encode.sound import SoundSource
from previewops.worker.render.encode.stills import encode_still
from previewops.worker.render.encode.video import open_video
from previewops.worker.render.encode.webp import WebpAnimation, even_box
from previewops.worker.render.layout.geometry import Box
from previewops.worker.render.storyboard import VIDEO_FORMATS, Storyboard
from previewops.worker.render.theme import BLACK, Colour, Theme
from previewops.worker.render.timings import PhaseTimer

_GIF_COLOURS = 256


AddFrame = Callable[[RenderedFrame], None]


@contextmanager
def open_animation(
    kind: str, target: BinaryIO, storyboard: Storyboard, timer: PhaseTimer, sound: SoundSource | None
) -> Iterator[AddFrame]:
    """Starts the animation of ``storyboard`` in the format ``kind``; yields the function that adds a frame.

    ``sound`` is for video only. The file is complete after the context.

    Raises:
        PermanentJobError: from ``sound``.
    """
    with ExitStack() as opened:
        if kind in VIDEO_FORMATS:
            with timer.phase("encode"):
                frames = sound.frames() if sound is not None else None
                video = opened.enter_context(open_video(kind, target, storyboard, frames))

            def add_frame(frame: RenderedFrame) -> None:
                with timer.phase("encode"):
                    video.add(frame)

            yield add_frame
        else:
            pieces = _start_pieces(kind, target, storyboard)
            encode = _PieceEncoder(kind, storyboard, timer).encode
            yield lambda frame: pieces.add(encode(frame))
            pieces.finish()
        with timer.phase("encode"):
            opened.close()


def _start_pieces(
    kind: str, target: BinaryIO, storyboard: Storyboard
) -> WebpAnimation | GifAnimation | ApngAnimation:
    if kind == "webp":
        return WebpAnimation(target, storyboard.size)
    if kind == "gif":
        return GifAnimation(target, storyboard.size)
    return ApngAnimation(target)


@dataclass(frozen=True, slots=True)
class _PieceEncoder:
    """Encodes frames as still files that the animation ``kind`` is assembled from."""

    kind: str
    storyboard: Storyboard
    timer: PhaseTimer

    def encode(self, frame: RenderedFrame) -> Piece:
        """Returns the still file of what has changed, its place and its duration."""
        still_format = "png" if self.kind == "apng" else self.kind
        box = Box(0, 0, *self.storyboard.size)
        if frame.still is not None and self.storyboard.image_format == still_format:
            return Piece(frame.still, box, frame.duration_ms)
        image = frame.image
        if frame.changed is not None:
            box = even_box(frame.changed) if self.kind == "webp" else frame.changed
            image = image.crop(box)
        with self.timer.phase("encode"):
            return Piece(self._encode_still(image, still_format), box, frame.duration_ms)

    def _encode_still(self, image: Image.Image, still_format: str) -> bytes:
        if still_format == "gif":
            buffer = BytesIO()
            _quantize(image, self.storyboard.theme).save(buffer, "GIF", optimize=False)
            return buffer.getvalue()
        return encode_still(image, still_format, self.storyboard.quality, BLACK)


def _quantize(image: Image.Image, theme: Theme) -> Image.Image:
    """Reduces ``image`` to 256 colours by octree, which is much faster than Pillow's default for GIF.

    An octree averages similar colours. Two are exempt: otherwise the background would differ between frames.
    """
    keep = (theme.background, theme.surface)
    indexed = image.quantize(_GIF_COLOURS - len(keep), Image.Quantize.FASTOCTREE)
    colours = (indexed.getpalette() or []) + [0] * (3 * _GIF_COLOURS)
    for index, colour in enumerate(keep, start=_GIF_COLOURS - len(keep)):
        colours[3 * index : 3 * index + 3] = colour
        indexed.paste(index, mask=_colour_mask(image, colour))
    indexed.putpalette(colours[: 3 * _GIF_COLOURS])
    return indexed


def _colour_mask(image: Image.Image, colour: Colour) -> Image.Image:
    """Returns a mask of the pixels with exactly ``colour``."""
    red, green, blue = ImageChops.difference(image, Image.new("RGB", image.size, colour)).split()
    furthest = ImageChops.lighter(ImageChops.lighter(red, green), blue)
    return furthest.point([255] + [0] * 255)
