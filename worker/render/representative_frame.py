"""Which frame of an animated picture stands for all of it.

The first is often empty, or the beginning of a fade. What is taken is the frame that is most like all the
others: the one whose distribution of brightness is nearest to the average of a sample, as ffmpeg's filter
``thumbnail`` does it.
"""

from __future__ import annotations

from PIL import Image

_SAMPLES = 12
_MAX_DECODED_PIXELS = (
    100_000_000  # to reach a frame, those before it have to be decoded: no further than this
)
_SMALL, _SPARSE = (64, 64), (256, 256)  # pixels


def seek_representative_frame(image: Image.Image, frames: int) -> None:
    """Leaves ``image``, an opened picture of ``frames`` frames, at the frame that stands for it.

    Raises whatever the decoder does over a broken frame.
    """
    reachable = max(1, min(frames, _MAX_DECODED_PIXELS // (image.width * image.height)))
    sampled = sorted({index * (reachable - 1) // (_SAMPLES - 1) for index in range(_SAMPLES)})
    if len(sampled) > 1:
        image.seek(_most_typical(image, sampled))


def _most_typical(image: Image.Image, indices: list[int]) -> int:
    histograms = []
    for index in indices:
        image.seek(index)
        histograms.append(_brightness(image))
    average = [sum(column) / len(indices) for column in zip(*histograms, strict=True)]

    def difference(position: int) -> tuple[float, int]:
        histogram = histograms[position]
        # Of two frames both are as far from the average: the one with more to see is taken.
        return sum((a - b) ** 2 for a, b in zip(histogram, average, strict=True)), histogram.count(0)

    return indices[min(range(len(indices)), key=difference)]


def _brightness(image: Image.Image) -> list[int]:
    """How often each of 64 steps of brightness occurs; what shows through counts as black."""
    sparse = image.resize(
        _SPARSE, Image.Resampling.NEAREST
    )  # every pixel of a large frame would cost too much
    small = sparse.convert("RGBA").resize(_SMALL, Image.Resampling.BOX)
    flat = Image.new("RGB", _SMALL)
    flat.paste(small, mask=small.getchannel("A"))
    counts = flat.convert("L").histogram()
    return [sum(counts[at : at + 4]) for at in range(0, 256, 4)]
