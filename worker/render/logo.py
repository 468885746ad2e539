"""Draws the brand's logo: decoded once, scaled to each place, on a plate where it would not be seen."""

from __future__ import annotations

from dataclasses import dataclass, field

from PIL import Image

from previewops.worker.render.backing import choose_ground
from previewops.worker.render.decode.srgb import resize
from previewops.worker.render.layout.frames import LogoPlace
from previewops.worker.render.layout.geometry import Box, Size
from previewops.worker.render.picture_cache import PictureCache
from previewops.worker.render.shapes import fill_rounded, paste_rounded
from previewops.worker.render.storyboard import Storyboard

# More is seen of a logo than of a picture: without its name it is another one.
_LEAST_CONTRAST, _HIDDEN_SHARE = 2.0, 0.25


@dataclass(slots=True)
class LogoPainter:
    """Draws the logo of one storyboard."""

    storyboard: Storyboard
    pictures: PictureCache
    _picture: Image.Image | None = None
    _is_decoded: bool = False
    _scaled: dict[Size, Image.Image] = field(default_factory=dict)

    def draw(self, image: Image.Image, place: LogoPlace, radius: int) -> None:
        """Draws the logo at ``place``; nothing if it is not available. ``radius`` is that of the plate's corners."""
        logo = self._fitted(place.box.size)
        if logo is None:
            return
        theme, box = self.storyboard.theme, _placed(Size(*logo.size), place)
        if logo.mode != "RGBA":
            paste_rounded(image, logo, box, min(radius, place.padding))
            return
        ground = choose_ground(
            logo,
            theme.background,
            theme.backing,
            least_contrast=_LEAST_CONTRAST,
            hidden_share=_HIDDEN_SHARE,
        )
        if place.on_picture or ground != theme.background:
            box = box.moved(place.padding if place.at_left else -place.padding)
            plate = box.grown(place.padding)
            fill_rounded(image, plate, min(radius, plate.size.short // 2), ground)
        image.paste(logo, box[:2], logo)

    def _fitted(self, size: Size) -> Image.Image | None:
        if not self._is_decoded:
            self._is_decoded = True
            asset = self.storyboard.logo
            decoded = self.pictures.get(asset) if asset else None
            self._picture = _trimmed(decoded) if decoded else None
        if self._picture is None:
            return None
        if size not in self._scaled:
            self._scaled[size] = resize(self._picture, Size(*self._picture.size).fitted(size))
        return self._scaled[size]


def _trimmed(logo: Image.Image) -> Image.Image:
    """Returns a logo without its transparent margins, which would move it out of line with the text."""
    shown = logo.getchannel("A").getbbox() if logo.mode == "RGBA" else None
    return logo.crop(shown) if shown else logo


def _placed(size: Size, place: LogoPlace) -> Box:
    left = place.box.left if place.at_left else place.box.right - size.width
    return Box.at(left, place.box.top + (place.box.height - size.height) // 2, size)
