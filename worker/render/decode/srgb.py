"""Decoded pictures in the form that is drawn: upright, sRGB, eight bits, RGB or RGBA."""

from __future__ import annotations

from io import BytesIO

from PIL import Image, ImageCms

from previewops.worker.render.decode.colour import ColourSpace, grey_table, icc_profile
from previewops.worker.render.decode.swscale import load_library, scale_rgb

_REDUCING_GAP = 2.0  # reduction in the last step of scaling (SSIM .999)
_SRGB = ImageCms.createProfile("sRGB")
_SPACES = {"RGB": "RGB", "CMYK": "CMYK", "L": "GRAY"}  # of ICC, by Pillow's mode
load_library()  # in the fork server: a confined process cannot open it
_EIGHT_BITS = {
    "1": "L", "L": "L", "F": "L", "LA": "LA", "La": "LA", "CMYK": "CMYK", "RGBA": "RGBA", "RGBa": "RGBA",
    "PA": "RGBA",
}  # fmt: skip
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
SIDEWAYS = (5, 6, 7, 8)
"""Orientations that swap width and height."""


def resize(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    """Returns ``image`` scaled to ``size``, or itself if it has that size."""
    if image.size == size:
        return image
    is_reduced = min(image.width // size[0], image.height // size[1]) >= 2 * _REDUCING_GAP
    if image.mode == "RGB" and not is_reduced:
        scaled = scale_rgb(image, size)
        if scaled is not None:
            return scaled
    return image.resize(size, Image.Resampling.LANCZOS, reducing_gap=_REDUCING_GAP)


def to_eight_bits(image: Image.Image, colour: ColourSpace | None = None) -> Image.Image:
    """Converts to RGB, RGBA, L, LA or CMYK. 16-bit greys are scaled; a plain conversion would clip them.

    16-bit greys of another ``colour`` than sRGB become RGB of sRGB, as eight bits would not do for the dark ones.
    """
    if image.mode.startswith("I;16") and colour is not None and not colour.is_srgb:
        return image.convert("I").point(grey_table(colour), "L").convert("RGB")
    if image.mode.startswith("I;16"):
        return image.point(lambda value: value * (1 / 257) + 0.5).convert("L")
    if image.mode == "I":
        return image.convert("F").point(lambda value: value * (255 / 65535) + 0.5).convert("L")
    shows_through = "transparency" in image.info
    if shows_through and image.mode in ("1", "L"):
        key = image.info["transparency"]
        grey = image.convert("L")
        grey.putalpha(grey.point([0 if value == key else 255 for value in range(256)]))
        return grey
    target = _EIGHT_BITS.get(image.mode, "RGB")
    if target == "RGB" and shows_through:
        target = "RGBA"
    return image if image.mode == target else image.convert(target)


def to_srgb(image: Image.Image, profile: bytes | None, colour: ColourSpace | None = None) -> Image.Image:
    """Converts a picture of ``to_eight_bits`` from its profile, else from ``colour``, else from its mode's own space.

    A profile that is broken or of another kind of picture is ignored.
    """
    has_alpha = image.mode in ("RGBA", "LA")
    if profile is None and (colour is None or colour.is_srgb):
        return image if image.mode in ("RGB", "RGBA") else image.convert("RGBA" if has_alpha else "RGB")
    alpha = image.getchannel("A") if has_alpha else None
    plain = image.convert(image.mode[:-1]) if has_alpha else image
    converted = None
    if profile is not None:
        converted = _convert(plain, profile)
    elif colour is not None and plain.mode in ("RGB", "L"):
        converted = _convert_coded(plain.convert("RGB"), colour)
    if converted is None:
        converted = plain if plain.mode == "RGB" else plain.convert("RGB")
    if alpha is not None:
        converted.putalpha(alpha)
    return converted


def _convert_coded(image: Image.Image, colour: ColourSpace) -> Image.Image | None:
    try:
        profile = icc_profile(colour)
    except (ValueError, OverflowError):  # primaries that span no space
        return None
    return _convert(image, profile)


def _convert(image: Image.Image, profile: bytes) -> Image.Image | None:
    """Returns None if the profile is broken or has another colour space than the picture."""
    try:
        source = ImageCms.ImageCmsProfile(BytesIO(profile))
        space = source.profile.xcolor_space.strip()
        if space != _SPACES.get(image.mode):
            return None
        return ImageCms.profileToProfile(image, source, _SRGB, outputMode="RGB")
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return None


def turn_upright(image: Image.Image, orientation: int) -> Image.Image:
    """Applies an EXIF orientation, 1 to 8."""
    return image.transpose(_TURNS[orientation]) if orientation in _TURNS else image


def drop_opaque_alpha(image: Image.Image) -> Image.Image:
    """Returns RGB if no pixel shows anything through."""
    if image.mode == "RGBA" and image.getchannel("A").getextrema() == (255, 255):
        return image.convert("RGB")
    return image
