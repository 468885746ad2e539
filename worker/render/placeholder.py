"""Placeholders for pages to show before a picture has loaded."""

from __future__ import annotations

from dataclasses import dataclass

from PIL import Image

from previewops.worker.render.encode.thumbhash import encode_thumbhash
from previewops.worker.render.layout.geometry import Size
from previewops.worker.render.theme import Colour, format_hex

_SAMPLE = Size(32, 32)  # maximum in pixels: the hash has 7 cosine terms per side
_COLOURS = 8


@dataclass(frozen=True, slots=True)
class Placeholder:
    """A ThumbHash (base64) and the dominant colour (#rrggbb)."""

    thumbhash: str
    colour: str


def make_placeholder(image: Image.Image, background: Colour) -> Placeholder:
    """Returns the placeholder of ``image``; ``background`` is the colour behind transparent pixels."""
    sample = image.resize(Size(*image.size).shrunk(_SAMPLE), Image.Resampling.BOX)
    return Placeholder(encode_thumbhash(sample), format_hex(_dominant(sample, background)))


def _dominant(sample: Image.Image, background: Colour) -> Colour:
    flat = Image.new("RGB", sample.size, background)
    flat.paste(sample, mask=sample.getchannel("A") if sample.mode == "RGBA" else None)
    indexed = flat.quantize(_COLOURS, Image.Quantize.MEDIANCUT)
    counts = indexed.histogram()[:_COLOURS]
    dominant = counts.index(max(counts))
    palette = indexed.getpalette() or []
    red, green, blue = palette[3 * dominant : 3 * dominant + 3]
    return (red, green, blue)
