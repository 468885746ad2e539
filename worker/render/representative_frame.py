"""Selects the representative frame of an animated picture.

The first frame is often empty, or the start of a fade. As FFmpeg's filter ``thumbnail``, this module samples frames
and selects the one whose brightness histogram is nearest to the average.
"""

from __future__ import annotations

from PIL import Image

_SAMPLES = 12
_MAX_DECODED_PIXELS = 100_000_000  # seeking decodes all frames before: do not seek further than this
_SMALL, _SPARSE = (64, 64), (256, 256)  # pixels


def representative_frame(image: Image.Image, frames: int) -> int:
    """Returns the index of the representative frame of ``image``, an open picture of ``frames`` frames.

    Leaves ``image`` at another frame. Not every decoder of Pillow can seek back (PNG cannot), so open the file again
    to go to the frame. Raises any exception of the decoder.
    """
    reachable = max(1, min(frames, _MAX_DECODED_PIXELS // (image.width * image.height)))
    sampled = sorted({index * (reachable - 1) // (_SAMPLES - 1) for index in range(_SAMPLES)})
    return _most_typical(image, sampled) if len(sampled) > 1 else 0


def _most_typical(image: Image.Image, indices: list[int]) -> int:
    histograms = []
    for index in indices:
        image.seek(index)
        histograms.append(_brightness(image))
    average = [sum(column) / len(indices) for column in zip(*histograms, strict=True)]

    def difference(position: int) -> tuple[float, int]:
        histogram = histograms[position]
        # Two frames are equally far from their average: prefer the one with more occupied histogram bins.
        return sum((a - b) ** 2 for a, b in zip(histogram, average, strict=True)), histogram.count(0)

    return indices[min(range(len(indices)), key=difference)]


def _brightness(image: Image.Image) -> list[int]:
    """Returns a brightness histogram of 64 bins; transparent pixels count as black."""
    # Reading every pixel of a large frame would be slow.
    sparse = image.resize(_SPARSE, Image.Resampling.NEAREST)
    small = sparse.convert("RGBA").resize(_SMALL, Image.Resampling.BOX)
    flat = Image.new("RGB", _SMALL)
    flat.paste(small, mask=small.getchannel("A"))
    counts = flat.convert("L").histogram()
    return [sum(counts[at : at + 4]) for at in range(0, 256, 4)]
