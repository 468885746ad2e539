"""Writes the animation while its frames are drawn: one frame per card, with its duration.

Animated images are assembled from still files. Memory use is one frame, frames are never merged, and available stills
are not encoded again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import BinaryIO

from PIL import Image, ImageChops

from previewops.worker.render.encode import apng, gif, webp
from previewops.worker.render.encode.sound import SoundTrack
from previewops.worker.render.encode.stills import encode_still
from previewops.worker.render.encode.video import VideoWriter
from previewops.worker.render.layout.geometry import Size
from previewops.worker.render.storyboard import VIDEO_FORMATS
from previewops.worker.render.theme import Colour
from previewops.worker.render.timings import PhaseTimer

_GIF_COLOURS = 256


@dataclass(frozen=True, slots=True)
class RenderedFrame:
    """A rendered frame: its pixels, its duration, and its still file in the format ``kind``."""

    image: Image.Image
    duration_ms: int
    kind: str
    still: bytes


@dataclass(frozen=True, slots=True)
class AnimationWriter:
    """Writes one animation in the format ``kind``: ``frame_count`` frames of ``size``, ``length_ms`` in total.

    ``quality`` is 1..100, for lossy formats. ``exact_colours`` stay unchanged in a palette of 256 colours.
    ``fade_fps`` is the frame rate of fades in video; None: no fades.
    """

    kind: str
    size: Size
    frame_count: int
    quality: int
    exact_colours: Sequence[Colour]
    timer: PhaseTimer
    length_ms: int
    fade_fps: int | None

    def write(self, target: BinaryIO, frames: Iterator[RenderedFrame], sound: SoundTrack | None) -> None:
        """Writes ``frames`` to ``target`` one by one; ``sound`` is for video only.

        Raises:
            PermanentJobError: from ``sound``.
        """
        if self.kind in VIDEO_FORMATS:
            video = VideoWriter(
                self.kind, self.size, self.frame_count, self.length_ms, self.quality, self.fade_fps
            )
            with self.timer.phase("encode"):
                video.write(target, self._draw_frames(frames), sound.frames() if sound is not None else None)
            return
        pieces = ((self._encode_piece(frame), frame.duration_ms) for frame in frames)
        if self.kind == "webp":
            webp.write_animation(target, self.size, pieces)
        elif self.kind == "gif":
            gif.write_animation(target, self.size, pieces)
        else:
            apng.write_animation(target, self.frame_count, pieces)

    def _draw_frames(self, frames: Iterator[RenderedFrame]) -> Iterator[tuple[Image.Image, int]]:
        while True:
            with self.timer.phase("draw"):
                frame = next(frames, None)
            if frame is None:
                return
            yield frame.image, frame.duration_ms

    def _encode_piece(self, frame: RenderedFrame) -> bytes:
        """Returns the frame as a still file in the format of the animation."""
        still_format = "png" if self.kind == "apng" else self.kind
        if frame.kind == still_format:
            return frame.still
        with self.timer.phase("encode"):
            if still_format == "gif":
                buffer = BytesIO()
                _quantize(frame.image, self.exact_colours).save(buffer, "GIF", optimize=False)
                return buffer.getvalue()
            return encode_still(frame.image, still_format, self.quality, (0, 0, 0))


def _quantize(image: Image.Image, keep: Sequence[Colour]) -> Image.Image:
    """Reduces ``image`` to 256 colours by octree, which is much faster than Pillow's default for GIF.

    An octree averages similar colours. ``keep`` is exempt: otherwise the background would differ between frames.
    """
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
