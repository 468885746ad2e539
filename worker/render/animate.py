"""The animation, written while its frames are drawn: one frame a card, each at its duration."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import BinaryIO

from PIL import Image

from previewops.worker.render.encode import encode_still
from previewops.worker.render.geometry import Size
from previewops.worker.render.stopwatch import Stopwatch
from previewops.worker.render.webp import write_animation as write_webp

_GIF_COLOURS = 256
_GIF_TICK_MS = 10


@dataclass(frozen=True, slots=True)
class Drawn:
    """A finished frame: its pixels, how long it stands, and its still file where that is WebP already."""

    image: Image.Image
    duration_ms: int
    quality: int
    webp: bytes | None


def write_animation(
    kind: str,
    target: BinaryIO,
    frames: Iterator[Drawn],
    *,
    size: Size,
    durations: list[int],
    watch: Stopwatch,
) -> None:
    """Writes webp, gif or apng to ``target``, taking each of ``frames`` when its turn comes.

    ``durations`` are those of the frames, ms, known beforehand; GIF stores hundredths of a second.
    """
    if kind == "webp":
        write_webp(target, size, ((_webp(frame, watch), frame.duration_ms) for frame in frames))
    elif kind == "gif":
        ticks = [max(2, round(duration / _GIF_TICK_MS)) * _GIF_TICK_MS for duration in durations]
        _save(target, "GIF", (_palette(frame, watch) for frame in frames), ticks, optimize=False)
    else:
        _save(target, "PNG", (frame.image for frame in frames), durations, compress_level=6)


def _webp(frame: Drawn, watch: Stopwatch) -> bytes:
    if frame.webp is not None:
        return frame.webp
    with watch.phase("encode"):
        return encode_still(frame.image, "webp", frame.quality, (0, 0, 0))


def _save(
    target: BinaryIO, kind: str, images: Iterator[Image.Image], durations: list[int], **options: int
) -> None:
    first = next(images)
    first.save(
        target, kind, save_all=True, append_images=_rest(images), duration=durations, loop=0, **options
    )


def _rest(images: Iterable[Image.Image]) -> Iterator[Image.Image]:
    """Pillow's savers take any iterable and draw from it one by one."""
    yield from images


def _palette(frame: Drawn, watch: Stopwatch) -> Image.Image:
    """Quantised by octree: 30 times as fast as Pillow's default for GIF, with each frame its own palette."""
    with watch.phase("encode"):
        return frame.image.quantize(_GIF_COLOURS, Image.Quantize.FASTOCTREE)
