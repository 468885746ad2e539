"""What every reader of a kind of picture offers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import BinaryIO, Protocol

from PIL import Image

from previewops.contract.limits import MAX_SIDE_PX
from previewops.worker.assets.opener import AssetRef
from previewops.worker.render.decode.errors import picture_error
from previewops.worker.render.layout.geometry import Size
from previewops.worker.render.limits import RenderLimits
from previewops.worker.render.storyboard import Playback

CUT = "the end of the file is missing; what is there is shown"
"""The note of a picture that is drawn although its file is cut."""


@dataclass(frozen=True, slots=True)
class PictureHeader:
    """The header of a picture file: ``size`` is the displayed size, after applying the orientation.

    A drawing without pixels of its own has its ``natural`` size (CSS pixels or points), and as its ``size`` the
    largest at which it is drawn.
    """

    format: str
    size: Size
    frames: int
    orientation: int
    natural: Size | None = None

    def as_json(self) -> dict[str, str | int]:
        size = self.natural or self.size
        return {"format": self.format, "width": size.width, "height": size.height}


@dataclass(frozen=True, slots=True)
class PictureSource:
    """A picture file to read: the asset for messages, the open file, its size in bytes, and the limits.

    ``page`` counts from 1; None: the first one. ``fonts`` are the files for text in drawings. ``playback`` is that of
    an asset that plays.
    """

    ref: AssetRef
    file: BinaryIO
    bytes: int
    limits: RenderLimits
    page: int | None = None
    fonts: tuple[str, ...] = ()
    playback: Playback | None = None


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

        An animation yields its representative frame, one that plays a frame of the part that plays.
        """


def decode_scale(full: Size, needed: Size) -> Size:
    """The size to scale a picture of ``full`` pixels to."""
    return min(full, full.covering(needed), key=lambda size: size.width)


def scaled_up(natural: Size) -> Size:
    """The largest size at which a drawing of ``natural`` size is drawn."""
    return natural.fitted(Size(MAX_SIDE_PX, MAX_SIDE_PX))


def check_page(source: PictureSource, pages: int) -> int:
    """Returns the index of the page to draw. Raises PermanentJobError "asset-page-missing"."""
    page = source.page or 1
    if page <= pages:
        return page - 1
    raise picture_error(
        source.ref,
        "asset-page-missing",
        found=f"page {page}",
        allowed=f"a page from 1 to {pages}",
        hint="correct the asset's page",
    )


def note_pages(source: PictureSource, pages: int) -> tuple[str, ...]:
    """A sentence about pages that are not shown, if the payload chose none."""
    return (f"page 1 of {pages} is shown",) if source.page is None and pages > 1 else ()
