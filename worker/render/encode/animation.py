"""Writes the animation while its frames are drawn: one frame per card, or several if it plays, with their durations.

Animated images are assembled from still files. Memory use is one frame, frames are never merged, and available stills
are not encoded again.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from typing import BinaryIO

from PIL import Image, ImageChops

from previewops.worker.render.encode import apng, gif, webp
from previewops.worker.render.encode.frames import Piece, RenderedFrame
from previewops.worker.render.encode.sound import SoundSource
from previewops.worker.render.encode.stills import encode_still
from previewops.worker.render.encode.video import VideoWriter
from previewops.worker.render.layout.geometry import Box
from previewops.worker.render.storyboard import VIDEO_FORMATS, Storyboard
from previewops.worker.render.theme import BLACK, Colour, Theme
from previewops.worker.render.timings import PhaseTimer

_GIF_COLOURS = 256


@dataclass(frozen=True, slots=True)
class AnimationWriter:
    """Writes the animation of ``storyboard`` in the format ``kind``."""

    kind: str
    storyboard: Storyboard
    timer: PhaseTimer

    def write(self, target: BinaryIO, frames: Iterator[RenderedFrame], sound: SoundSource | None) -> None:
        """Writes ``frames`` to ``target`` one by one; ``sound`` is for video only.

        Raises:
            PermanentJobError: from ``sound``.
        """
        if self.kind in VIDEO_FORMATS:
            video = VideoWriter(self.kind, self.storyboard)
            with self.timer.phase("encode"):
                video.write(target, self._draw_frames(frames), sound.frames() if sound is not None else None)
            return
        pieces = (Piece(*self._encode_piece(frame), frame.duration_ms) for frame in frames)
        if self.kind == "webp":
            webp.write_animation(target, self.storyboard.size, pieces)
        elif self.kind == "gif":
            gif.write_animation(target, self.storyboard.size, pieces)
        else:
            apng.write_animation(target, pieces)

    def _draw_frames(self, frames: Iterator[RenderedFrame]) -> Iterator[RenderedFrame]:
        while True:
            with self.timer.phase("draw"):
                frame = next(frames, None)
            if frame is None:
                return
            yield frame
            del frame  # free it before the next one is drawn

    def _encode_piece(self, frame: RenderedFrame) -> tuple[bytes, Box]:
        """The still file of what has changed, and its place."""
        still_format = "png" if self.kind == "apng" else self.kind
        box = Box(0, 0, *self.storyboard.size)
        if self.storyboard.image_format == still_format and frame.still is not None:
            return frame.still, box
        image = frame.image
        if frame.changed is not None:
            box = webp.even_box(frame.changed) if self.kind == "webp" else frame.changed
            image = image.crop(box)
        with self.timer.phase("encode"):
            if still_format == "gif":
                buffer = BytesIO()
                _quantize(image, self.storyboard.theme).save(buffer, "GIF", optimize=False)
                return buffer.getvalue(), box
            return encode_still(image, still_format, self.storyboard.quality, BLACK), box


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
