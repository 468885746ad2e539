"""Scales and crops decoded pictures to the boxes that they are drawn in."""

from __future__ import annotations

from typing import NamedTuple

from PIL import Image

from previewops.worker.render.decode.srgb import resize
from previewops.worker.render.layout.frames import Placement
from previewops.worker.render.layout.geometry import Size


class Fit(NamedTuple):
    """A picture in the size of a box: placements with equal values draw the same pixels."""

    asset_id: str
    size: Size
    crops: bool

    @classmethod
    def of(cls, placement: Placement) -> Fit:
        return cls(placement.asset.ref.id, placement.box.size, placement.crops)


def fit_picture(picture: Image.Image, placement: Placement) -> Image.Image:
    """Returns ``picture`` cropped and scaled to the box of ``placement``."""
    return _crop_to_cover(picture, placement) if placement.crops else resize(picture, placement.box.size)


def _crop_to_cover(picture: Image.Image, placement: Placement) -> Image.Image:
    """Crops and scales ``picture`` to cover the placement's box, with its focus as near to the centre as possible."""
    shape, size = Size(*picture.size), placement.box.size
    covering = shape.covering(size)
    focus_x, focus_y = placement.asset.focus
    left = _crop_offset(covering.width, size.width, focus_x) * shape.width / covering.width
    top = _crop_offset(covering.height, size.height, focus_y) * shape.height / covering.height
    right = min(shape.width, left + size.width * shape.width / covering.width)
    bottom = min(shape.height, top + size.height * shape.height / covering.height)
    if shape == covering:
        left_px, top_px = round(left), round(top)
        return picture.crop((left_px, top_px, left_px + size.width, top_px + size.height))
    is_whole = left == 0 and top == 0 and right == shape.width and bottom == shape.height
    if is_whole:
        return resize(picture, size)
    part = (left, top, right, bottom)
    return picture.resize(size, Image.Resampling.LANCZOS, box=part, reducing_gap=2.0)


def _crop_offset(full: int, visible: int, focus: float) -> int:
    return max(0, min(full - visible, round(full * focus - visible / 2)))
