"""Decodes untrusted picture files: checks the header against the limits, then decodes no larger than needed."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from typing import BinaryIO

from PIL import Image, ImageCms, UnidentifiedImageError

from previewops.job_errors import JobError, PermanentJobError
from previewops.worker.assets.opener import AssetRef, permanent_asset_error, storage_errors
from previewops.worker.render.decode_memory import PictureLayout, bytes_per_pixel, jpeg_bytes
from previewops.worker.render.encode.gif import count_frames
from previewops.worker.render.layout.geometry import Size
from previewops.worker.render.limits import RenderLimits
from previewops.worker.render.picture_metadata import BarePicture, find_orientation, strip_metadata
from previewops.worker.render.representative_frame import representative_frame

# Load all plugins of Pillow in the fork server. Later, each child would load them from files that an upgrade may
# have replaced.
Image.init()

PICTURE_FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "AVIF")
_SIDEWAYS = (5, 6, 7, 8)  # orientations that swap width and height
_DRAFT_GAP = 4 / 3  # JPEG decoding scale: at least this times the needed size (SSIM >= .996)
_REDUCING_GAP = 2.0  # the same for the last step of scaling (SSIM .999)
_SRGB = ImageCms.createProfile("sRGB")


@dataclass(frozen=True, slots=True)
class PictureHeader:
    """The header of a picture file: ``size`` is the displayed size, after applying the orientation."""

    format: str
    size: Size
    frames: int
    orientation: int

    def as_json(self) -> dict[str, str | int]:
        return {"format": self.format, "width": self.size.width, "height": self.size.height}


def read_header(ref: AssetRef, file: BinaryIO, limits: RenderLimits) -> PictureHeader:
    """Reads the header of the picture in ``file``, without decoding.

    Raises:
        PermanentJobError: asset-unsupported, asset-corrupt, asset-too-many-pixels, asset-too-many-frames.
    """
    with _open_picture(ref, file, limits) as (image, header):
        del image
        return header


def decode_picture(ref: AssetRef, file: BinaryIO, limits: RenderLimits, needed: Size) -> Image.Image:
    """Decodes a picture to sRGB: upright, without metadata, RGB or (if transparent) RGBA.

    An animation yields its representative frame. The result has the smallest size that covers ``needed`` (of the
    upright picture) and is never larger than the original.

    Raises:
        PermanentJobError: as ``read_header``; asset-corrupt also for a truncated file.
    """
    with _open_picture(ref, file, limits) as (image, header):
        if header.frames == 1:
            return _decode(ref, image, header, limits, needed)
        frame = representative_frame(image, header.frames)
    del image  # frees its memory
    with _open_picture(ref, file, limits) as (image, header):
        image.seek(frame)
        return _decode(ref, image, header, limits, needed)


def _decode(
    ref: AssetRef, image: Image.Image, header: PictureHeader, limits: RenderLimits, needed: Size
) -> Image.Image:
    stored = needed if header.orientation not in _SIDEWAYS else Size(needed.height, needed.width)
    full = Size(*image.size)
    target = min(full, full.covering(stored), key=lambda size: size.width)
    image.draft(image.mode, (round(target.width * _DRAFT_GAP), round(target.height * _DRAFT_GAP)))
    _check_jpeg_memory(ref, image, full, limits)
    image.load()
    profile = image.info.get("icc_profile")
    shrunk = resize(_eight_bits(image), target)
    picture = _opaque_if_possible(_upright(_to_srgb(shrunk, profile), header.orientation))
    # Writers would copy the applied profile, comments, location and time.
    picture.info = {}
    return picture


@contextmanager
def _open_picture(
    ref: AssetRef, file: BinaryIO, limits: RenderLimits
) -> Iterator[tuple[Image.Image, PictureHeader]]:
    """Opens the picture; errors inside the block are raised as typed errors."""
    file.seek(0)
    head = file.read(32)
    ceiling = Image.MAX_IMAGE_PIXELS
    # Pillow rejects twice this figure before a decoder allocates memory; the exact limit is checked below.
    Image.MAX_IMAGE_PIXELS = limits.frame_pixels
    try:
        with warnings.catch_warnings(), storage_errors():
            warnings.simplefilter("ignore")  # about metadata: relevant problems are raised
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            bare = strip_metadata(file)
            with Image.open(bare.file, formats=PICTURE_FORMATS) as image:
                yield image, _read_header(ref, image, bare, limits)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as bomb:
        found = str(bomb).partition(" exceeds")[0].removeprefix("Image size (").rstrip(")")
        raise _too_many_pixels(ref, found, limits) from bomb
    except (JobError, MemoryError):
        raise
    except Exception as error:  # on malformed data decoders raise any exception, including RuntimeError
        raise _unreadable(ref, head, error) from error
    finally:
        Image.MAX_IMAGE_PIXELS = ceiling


def _read_header(ref: AssetRef, image: Image.Image, bare: BarePicture, limits: RenderLimits) -> PictureHeader:
    width, height = image.size
    if width * height > limits.frame_pixels:
        raise _too_many_pixels(ref, f"{width}x{height}, {width * height} pixels", limits)
    format_name = str(image.format)
    frames = _count_frames(format_name, image, bare.file, limits)
    if frames > limits.frames or frames * width * height > limits.total_pixels:
        raise _picture_error(
            ref,
            "asset-too-many-frames",
            found=f"{'over ' if frames > limits.frames else ''}{min(frames, limits.frames)} "
            f"frame{'s' if frames > 1 else ''} of {width}x{height}",
            allowed=f"at most {limits.frames} frames and {limits.total_pixels} pixels over all frames",
            hint="shorten the animation or scale it down, or raise PREVIEW_FRAMES_MAX or PREVIEW_PICTURE_MAX_MP",
        )
    if format_name != "JPEG":  # its memory depends on the scale at which it is decoded
        transparency = "transparency" in image.info
        layout = PictureLayout(format_name, image.mode, frames, transparency, bare.sample_bytes)
        allowed = int(limits.decoder_bytes / bytes_per_pixel(layout))
        if width * height > allowed:
            raise _too_much_memory(ref, f"{width}x{height}", format_name, allowed)
    orientation = bare.orientation or _own_orientation(format_name, image)
    size = Size(height, width) if orientation in _SIDEWAYS else Size(width, height)
    return PictureHeader(format_name.lower(), size, frames, orientation)


def _check_jpeg_memory(ref: AssetRef, image: Image.Image, full: Size, limits: RenderLimits) -> None:
    """Rejects a JPEG that does not fit: coefficients of a progressive file at full size, pixels as decoded."""
    if image.format != "JPEG":
        return
    layers: list[tuple[int, int, int, int]] = getattr(image, "layer", None) or [(0, 1, 1, 0)]
    across, down = max(layer[1] for layer in layers), max(layer[2] for layer in layers)
    coefficients = sum(layer[1] * layer[2] for layer in layers) / max(1, across * down)
    if not image.info.get("progressive"):
        coefficients = 0.0
    if jpeg_bytes(coefficients, full.width * full.height, image.width * image.height) > limits.decoder_bytes:
        allowed = int(limits.decoder_bytes / jpeg_bytes(coefficients, 1, 1))
        raise _too_much_memory(ref, f"{full.width}x{full.height}", "progressive JPEG", allowed)


def _count_frames(format_name: str, image: Image.Image, file: BinaryIO, limits: RenderLimits) -> int:
    if format_name == "GIF":
        # Pillow reads to the end of the file to count frames, however long it is.
        return count_frames(file, limits.frames)
    return int(getattr(image, "n_frames", 1))


def _own_orientation(format_name: str, image: Image.Image) -> int:
    # libavif reports how an AVIF picture is turned; its XMP does not count.
    xmp = image.info.get("xmp") if format_name == "WEBP" else None
    return find_orientation(image.info.get("exif"), xmp)


def _eight_bits(image: Image.Image) -> Image.Image:
    """Converts to RGB, RGBA, L or CMYK. 16-bit greys are scaled; a plain conversion would clip them."""
    if image.mode.startswith("I;16"):
        return image.point(lambda value: value * (1 / 257) + 0.5).convert("L")
    if image.mode == "I":
        return image.convert("F").point(lambda value: value * (255 / 65535) + 0.5).convert("L")
    shows_through = image.mode in ("LA", "PA", "La", "RGBa") or "transparency" in image.info
    if image.mode in ("RGBA", "CMYK") or (image.mode in ("L", "RGB") and not shows_through):
        return image
    return image.convert("RGBA" if shows_through else "RGB")


def resize(image: Image.Image, size: Size) -> Image.Image:
    """Returns ``image`` scaled to ``size``, or itself if it has that size."""
    if image.size == size:
        return image
    return image.resize(size, Image.Resampling.LANCZOS, reducing_gap=_REDUCING_GAP)


def _to_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    """Converts from the colour profile, or without one, from the colour space of the mode."""
    alpha = image.getchannel("A") if image.mode == "RGBA" else None
    plain = image.convert("RGB") if alpha is not None else image
    converted = _convert_to_srgb(plain, profile) if profile else None
    if converted is None:
        converted = plain if plain.mode == "RGB" else plain.convert("RGB")
    if alpha is not None:
        converted.putalpha(alpha)
    return converted


def _convert_to_srgb(image: Image.Image, profile: bytes) -> Image.Image | None:
    """Returns None if the profile is broken or has another colour space than the picture; it is then ignored."""
    try:
        source = ImageCms.ImageCmsProfile(BytesIO(profile))
        space = source.profile.xcolor_space.strip()
        if space != {"RGB": "RGB", "CMYK": "CMYK", "L": "GRAY"}.get(image.mode):
            return None
        return ImageCms.profileToProfile(image, source, _SRGB, outputMode="RGB")
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return None


def _upright(image: Image.Image, orientation: int) -> Image.Image:
    turns = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_270,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_90,
    }
    return image.transpose(turns[orientation]) if orientation in turns else image


def _opaque_if_possible(image: Image.Image) -> Image.Image:
    if image.mode == "RGBA" and image.getchannel("A").getextrema() == (255, 255):
        return image.convert("RGB")
    return image


_SIGNATURES: tuple[tuple[int, bytes, str], ...] = (
    (0, b"\xff\xd8\xff", "JPEG"),
    (0, b"\x89PNG\r\n\x1a\n", "PNG"),
    (8, b"WEBP", "WEBP"),
    (0, b"GIF8", "GIF"),
    (4, b"ftypavif", "AVIF"),
    (4, b"ftypavis", "AVIF"),
    (0, b"II*\0", "TIFF"),
    (0, b"MM\0*", "TIFF"),
    (0, b"BM", "BMP"),
    (0, b"%PDF", "PDF"),
    (0, b"%!PS", "PostScript"),
    (4, b"ftyphei", "HEIF"),
    (4, b"ftyp", "MP4"),
    (0, b"<svg", "SVG"),
    (0, b"<?xml", "XML"),
    (0, b"PK\x03\x04", "ZIP"),
    (0, b"8BPS", "Photoshop"),
)


def _unreadable(ref: AssetRef, head: bytes, error: BaseException) -> PermanentJobError:
    format_name = next((name for at, mark, name in _SIGNATURES if head[at:].startswith(mark)), None)
    if format_name in PICTURE_FORMATS or not head:
        content = f"{format_name} data that cannot be decoded" if format_name else "an empty file"
        detail = "" if isinstance(error, UnidentifiedImageError) else f" ({error})"
        return _picture_error(
            ref,
            "asset-corrupt",
            found=f"{content}{detail}",
            allowed="a complete JPEG, PNG, WebP, GIF or AVIF file",
            hint="export or upload the picture again",
        )
    return _picture_error(
        ref,
        "asset-unsupported",
        found=format_name or "an unknown file format",
        allowed="JPEG, PNG, WebP, GIF or AVIF",
        hint="convert the picture to one of these formats",
    )


def _too_many_pixels(ref: AssetRef, found: str, limits: RenderLimits) -> PermanentJobError:
    return _picture_error(
        ref,
        "asset-too-many-pixels",
        found=found,
        allowed=f"at most {limits.frame_pixels} pixels per frame",
        hint="scale the picture down, or raise PREVIEW_FRAME_MAX_MP",
    )


def _too_much_memory(ref: AssetRef, size: str, format_name: str, allowed_px: int) -> PermanentJobError:
    return _picture_error(
        ref,
        "asset-too-many-pixels",
        found=f"{size} in {format_name}",
        allowed=f"at most {allowed_px} pixels per frame of such a picture",
        hint="scale the picture down, convert it to a baseline JPEG, or raise PREVIEW_MEMORY_LIMIT_MB",
    )


def _picture_error(ref: AssetRef, code: str, *, found: str, allowed: str, hint: str) -> PermanentJobError:
    message = f"found {found}, allowed {allowed}"
    return permanent_asset_error(code, ref, message, found=found, allowed=allowed, hint=hint)
