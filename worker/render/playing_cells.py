"""Places of moving pictures on their cards, and what covers these: text, a scrim, rounded corners."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from PIL import Image, ImageChops

from previewops.worker.render.fitting import fit_picture
from previewops.worker.render.layout.frames import Placement
from previewops.worker.render.layout.geometry import Box

_BAND_ROWS = 32  # a large picture is put onto its card by bands, so that no copy of all of it is needed


class _Cover(NamedTuple):
    """What covers a band of a cell: ``base`` + picture x ``gain`` / 255 is seen for each pixel and colour."""

    base: Image.Image
    gain: Image.Image


@dataclass(frozen=True, slots=True)
class Cell:
    """The place of a moving picture on its card. ``covers`` are by the first row of their band, within the box.

    ``ground`` draws what is below a transparent picture.
    """

    placement: Placement
    covers: dict[int, _Cover]
    ground: Callable[[], Image.Image]

    @classmethod
    def between(
        cls, placement: Placement, black: Image.Image, white: Image.Image, ground: Callable[[], Image.Image]
    ) -> Cell:
        """The cell by the same card with a black and with a white picture."""
        covers: dict[int, _Cover] = {}
        for top, band in _bands(placement.box):
            base = black.crop(band)
            gain = ImageChops.subtract(white.crop(band), base)
            if any(extrema != (255, 255) for extrema in gain.getextrema()):
                covers[top] = _Cover(base, gain)
        return cls(placement, covers, ground)

    def show(self, image: Image.Image, picture: Image.Image) -> Box:
        """Puts a frame of the moving picture onto the card ``image``, and returns the box that has changed."""
        box = self.placement.box
        drawn = picture if picture.size == box.size else fit_picture(picture, self.placement)
        if drawn.mode == "RGBA":
            below = self.ground().copy()
            below.paste(drawn, mask=drawn)
            drawn = below
        for top, band in _bands(box):
            part = drawn.crop((0, top, box.width, top + band.height)).convert("RGB")
            if top in self.covers:
                base, gain = self.covers[top]
                part = ImageChops.add(ImageChops.multiply(part, gain), base)
            image.paste(part, band)
        return box


def _bands(box: Box) -> Iterator[tuple[int, Box]]:
    """Yields the first row of each band, within ``box``, and its box on the card."""
    for top in range(0, box.height, _BAND_ROWS):
        bottom = min(box.height, top + _BAND_ROWS)
        yield top, Box(box.left, box.top + top, box.right, box.top + bottom)
