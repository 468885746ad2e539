"""What every reader of a kind of picture offers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import BinaryIO, Protocol

from PIL import Image

from previewops.worker.assets.opener import AssetRef
from previewops.worker.render.layout.geometry import Size
from previewops.worker.render.limits import RenderLimits

CUT = "the end of the file is missing; what is there is shown"
"""The note of a picture that is drawn although its file is cut."""


@dataclass(frozen=True, slots=True)
class PictureHeader:
    """The header of a picture file: ``size`` is the displayed size, after applying the orientation."""

    format: str
    size: Size
    frames: int
    orientation: int

    def as_json(self) -> dict[str, str | int]:
        return {"format": self.format, "width": self.size.width, "height": self.size.height}


@dataclass(frozen=True, slots=True)
class PictureSource:
    """A picture file to read: the asset for messages, the open file, its size in bytes, and the limits."""

    ref: AssetRef
    file: BinaryIO
    bytes: int
    limits: RenderLimits


@dataclass(frozen=True, slots=True)
class DecodedPicture:
    """A decoded picture: upright, sRGB, RGB or RGBA, and sentences about what it does not show of its file."""

    image: Image.Image
    notes: tuple[str, ...] = field(default=())


class OpenPicture(Protocol):
    """An open picture file whose header is within the limits."""

    @property
    def header(self) -> PictureHeader: ...

    def decode(self, needed: Size) -> DecodedPicture:
        """Decodes the picture: the smallest size that covers ``needed``, never larger than the original.

        An animation yields its representative frame.
        """


def decode_scale(full: Size, needed: Size) -> Size:
    """The size to scale a picture of ``full`` pixels to."""
    return min(full, full.covering(needed), key=lambda size: size.width)
