"""Selects the representative frame of an animated picture.

The first frame is often empty, or the start of a fade. As FFmpeg's filter ``thumbnail``, this module samples frames
and selects the one whose brightness histogram is nearest to the average.
"""

from __future__ import annotations

from collections.abc import Callable

from PIL import Image

_SAMPLES = 12
_MAX_DECODED_PIXELS = 100_000_000  # seeking decodes all frames before: do not seek further than this
_SMALL, _SPARSE = (64, 64), (256, 256)  # pixels


def representative_frame(frame_at: Callable[[int], Image.Image], frames: int, size: tuple[int, int]) -> int:
    """Returns the index of the representative frame of a picture of ``frames`` frames of ``size`` pixels.

    ``frame_at`` is called with rising indices. Raises any exception of the decoder.
    """
    reachable = max(1, min(frames, _MAX_DECODED_PIXELS // (size[0] * size[1])))
    sampled = sorted({index * (reachable - 1) // (_SAMPLES - 1) for index in range(_SAMPLES)})
    if len(sampled) == 1:
        return 0
    return sampled[most_typical([brightness(frame_at(index)) for index in sampled])]


def most_typical(histograms: list[list[int]]) -> int:
    """Returns the position of the histogram that is nearest to the average."""
    average = [sum(column) / len(histograms) for column in zip(*histograms, strict=True)]

    def difference(position: int) -> tuple[float, int]:
        histogram = histograms[position]
        # Two frames are equally far from their average: prefer the one with more occupied histogram bins.
        return sum((a - b) ** 2 for a, b in zip(histogram, average, strict=True)), histogram.count(0)

    return min(range(len(histograms)), key=difference)


def brightness(image: Image.Image) -> list[int]:
    """Returns a brightness histogram of 64 bins; transparent pixels count as black."""
    # Reading every pixel of a large frame would be slow.
    sparse = image.resize(_SPARSE, Image.Resampling.NEAREST)
    small = sparse.convert("RGBA").resize(_SMALL, Image.Resampling.BOX)
    flat = Image.new("RGB", _SMALL)
    flat.paste(small, mask=small.getchannel("A"))
    counts = flat.convert("L").histogram()
    return [sum(counts[at : at + 4]) for at in range(0, 256, 4)]
