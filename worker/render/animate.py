"""The animation, written while its frames are drawn: one frame a card, each at its duration."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import BinaryIO

from PIL import Image, ImageChops

from previewops.worker.render.encode import encode_still
from previewops.worker.render.geometry import Size
from previewops.worker.render.stopwatch import Stopwatch
from previewops.worker.render.theme import Colour
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
    keep: Sequence[Colour],
    watch: Stopwatch,
) -> None:
    """Writes webp, gif or apng to ``target``, taking each of ``frames`` when its turn comes.

    ``durations`` are those of the frames, ms, known beforehand; GIF stores hundredths of a second.
    ``keep`` are colours that have to come out exactly where there are only 256.
    """
    if kind == "webp":
        write_webp(target, size, ((_webp(frame, watch), frame.duration_ms) for frame in frames))
    elif kind == "gif":
        ticks = [max(2, round(duration / _GIF_TICK_MS)) * _GIF_TICK_MS for duration in durations]
        _save(target, "GIF", (_indexed(frame, keep, watch) for frame in frames), ticks, optimize=False)
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


def _indexed(frame: Drawn, keep: Sequence[Colour], watch: Stopwatch) -> Image.Image:
    """The frame in 256 colours, its palette found by octree: a fraction of the time of Pillow's default for GIF.

    An octree averages what is alike. ``keep`` is exempt, or the background would change a little with every frame.
    """
    with watch.phase("encode"):
        indexed = frame.image.quantize(_GIF_COLOURS - len(keep), Image.Quantize.FASTOCTREE)
        colours = (indexed.getpalette() or []) + [0] * (3 * _GIF_COLOURS)
        for index, colour in enumerate(keep, start=_GIF_COLOURS - len(keep)):
            colours[3 * index : 3 * index + 3] = colour
            indexed.paste(index, mask=_where(frame.image, colour))
        indexed.putpalette(colours[: 3 * _GIF_COLOURS])
        return indexed


def _where(image: Image.Image, colour: Colour) -> Image.Image:
    """A mask of the pixels that have exactly ``colour``."""
    red, green, blue = ImageChops.difference(image, Image.new("RGB", image.size, colour)).split()
    furthest = ImageChops.lighter(ImageChops.lighter(red, green), blue)
    return furthest.point([255] + [0] * 255)
