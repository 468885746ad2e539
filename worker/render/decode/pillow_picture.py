"""Pictures of pixels: containers are read here, pixels are decoded by Pillow and its plugins."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import BinaryIO, NamedTuple

from PIL import Image, ImageChops
from PIL.PngImagePlugin import PngImageFile

from previewops.file_kinds import AVIF, HEIF, JPEG, JXL, PNG, TIFF, WEBP, FileKind
from previewops.job_errors import JobError
from previewops.worker.render.decode.avif_file import HEIF_BRANDS, read_avif
from previewops.worker.render.decode.colour import ColourSpace
from previewops.worker.render.decode.errors import (
    CutPicture,
    too_many_frames,
    too_many_pixels,
    too_much_memory,
)
from previewops.worker.render.decode.exif import find_orientation
from previewops.worker.render.decode.extras import require_extra
from previewops.worker.render.decode.jpeg_file import read_jpeg, with_padding
from previewops.worker.render.decode.jxl_size import read_jxl_size
from previewops.worker.render.decode.memory import PictureLayout, bytes_per_pixel, jpeg_bytes
from previewops.worker.render.decode.open_picture import (
    CUT,
    DecodedPicture,
    PictureHeader,
    PictureSource,
    check_page,
    decode_scale,
)
from previewops.worker.render.decode.png_file import read_png
from previewops.worker.render.decode.representative_frame import representative_frame
from previewops.worker.render.decode.srgb import (
    SIDEWAYS,
    drop_opaque_alpha,
    resize,
    to_eight_bits,
    to_srgb,
    turn_upright,
)
from previewops.worker.render.decode.webp_file import read_webp
from previewops.worker.render.layout.geometry import Box, Size

_DRAFT_GAP = 4 / 3  # JPEG decoding scale: at least this times the needed size (SSIM >= .996)
_LAST_BLOCK_PX = 16  # side of the largest block that a JPEG file codes together
_NO_ANIMATION = "the animation is damaged; the picture without it is shown"


class BarePicture(NamedTuple):
    """A picture file as Pillow gets it, without metadata, and what its container says.

    ``orientation`` is an EXIF orientation; None: Pillow reports it. ``sample_bytes`` is the size of one sample of an
    AVIF picture. ``colour`` counts where there is no ``profile``. ``transparent`` are the 16-bit samples of the
    transparent colour of a PNG.
    """

    file: BinaryIO
    orientation: int | None = None
    sample_bytes: int = 1
    profile: bytes | None = None
    colour: ColourSpace | None = None
    transparent: tuple[int, ...] = ()
    is_cut: bool = False


def strip_metadata(kind: FileKind, file: BinaryIO, size: int, *, animated: bool = True) -> BarePicture:
    """Returns a view of the picture ``file`` of ``size`` bytes, without metadata.

    Pillow joins repeated EXIF segments in quadratic time, unpacks each compressed text of a PNG file, and copies the
    value of every EXIF tag, which a crafted tag table lets overlap. The view is made in linear time.

    Raises:
        ValueError: far more segments or chunks than a file of its size needs.
    """
    if kind is JPEG:
        jpeg = read_jpeg(file, size)
        return BarePicture(jpeg.file, jpeg.orientation, is_cut=jpeg.is_cut)
    if kind is PNG:
        png = read_png(file, size, animated=animated)
        return BarePicture(
            png.file,
            png.orientation,
            profile=png.profile,
            colour=png.colour,
            transparent=png.transparent,
            is_cut=png.is_cut,
        )
    if kind is AVIF:
        avif = read_avif(file, size)
        return BarePicture(avif.file, sample_bytes=avif.sample_bytes, colour=avif.colour, is_cut=avif.is_cut)
    if kind is HEIF:
        heif = read_avif(file, size, HEIF_BRANDS)
        return BarePicture(heif.file, orientation=1, colour=heif.colour, is_cut=heif.is_cut)
    if kind is WEBP:
        webp = read_webp(file, size)
        return BarePicture(webp.file, is_cut=webp.is_cut)
    file.seek(0)
    return BarePicture(file, orientation=None if kind is JXL else 1)  # Pillow turns TIFF itself


@dataclass(slots=True)
class PillowPicture:
    """An open picture file."""

    source: PictureSource
    kind: FileKind
    header: PictureHeader
    has_more_pages: bool = False

    @classmethod
    def open(cls, source: PictureSource, kind: FileKind) -> PillowPicture:
        """Reads the header. Raises PermanentJobError for a limit, and any exception of Pillow."""
        if kind.module:
            _register(source, kind)
        if kind is JXL:
            _check_pixels(source, read_jxl_size(source.file))
        picture = cls(source, kind, PictureHeader("", Size(1, 1), 1, 1))
        with picture._image() as (image, bare):
            picture.header = picture._read_header(image, bare)
            picture.has_more_pages = kind is TIFF and _has_more_pages(image)
        return picture

    def decode(self, needed: Size) -> DecodedPicture:
        """See ``OpenPicture``. A damaged PNG animation yields the picture of programs without animations."""
        if self.header.frames == 1:
            return self._decode_frame(0, needed)
        try:
            index = self._representative_frame()
            return self._decode_frame(index, needed)
        except (JobError, MemoryError):
            raise
        except Exception:  # on malformed data decoders raise any exception
            if self.kind is not PNG:
                raise
            shown = self._decode_frame(0, needed, animated=False)
            return DecodedPicture(shown.image, (_NO_ANIMATION, *shown.notes))

    def _representative_frame(self) -> int:
        with self._image() as (image, _):
            return representative_frame(partial(_seek, image), self.header.frames, image.size)

    def _decode_frame(self, index: int, needed: Size, *, animated: bool = True) -> DecodedPicture:
        with self._image(animated=animated) as (image, bare):
            if index or _hidden_frames(image):
                _seek(image, index)
            return self._finish(image, bare, needed)

    @contextmanager
    def moving_frames(self) -> Iterator[tuple[BarePicture, Callable[[int, Size], Image.Image]]]:
        """Opens the animation: its file, and a function that decodes a frame at the size that it is needed at.

        Rising indices are decoded one after the other.
        """
        with self._image() as (image, bare):
            yield bare, lambda index, needed: self._finish(_seek(image, index), bare, needed).image

    def _finish(self, image: Image.Image, bare: BarePicture, needed: Size) -> DecodedPicture:
        """Decodes the frame that ``image`` is at."""
        stored = needed if self.header.orientation not in SIDEWAYS else Size(needed.height, needed.width)
        full = Size(*image.size)
        target = decode_scale(full, stored)
        image.draft(image.mode, (round(target.width * _DRAFT_GAP), round(target.height * _DRAFT_GAP)))
        if self.kind is JPEG:
            self._check_jpeg_memory(image, full, copies=2 if bare.is_cut else 1)
        image.load()
        if bare.is_cut and self.kind is JPEG:
            self._check_complete(image, bare)
        profile = bare.profile or image.info.get("icc_profile")
        colour = bare.colour if profile is None else None
        shrunk = resize(_in_eight_bits(image, bare, colour), target)
        picture = turn_upright(
            to_srgb(shrunk, profile, None if image.mode == "I;16" else colour), self.header.orientation
        )
        notes = [CUT] if bare.is_cut else []
        if self.has_more_pages and self.source.page is None:
            notes.append("only the first page is shown")
        return DecodedPicture(drop_opaque_alpha(picture), tuple(notes))

    @contextmanager
    def _image(self, *, animated: bool = True) -> Iterator[tuple[Image.Image, BarePicture]]:
        bare = strip_metadata(self.kind, self.source.file, self.source.bytes, animated=animated)
        try:
            with Image.open(bare.file, formats=(_plugin(self.kind),)) as image:
                if self.kind is TIFF and self.source.page:
                    _go_to_page(self.source, image)
                yield image, bare
        except (JobError, MemoryError):
            raise
        except Exception as error:
            if bare.is_cut:
                raise CutPicture from error
            raise

    def _read_header(self, image: Image.Image, bare: BarePicture) -> PictureHeader:
        ref, limits = self.source.ref, self.source.limits
        width, height = image.size
        _check_pixels(self.source, Size(width, height))
        # Pages of a TIFF and the pictures of a HEIF file are no animation.
        is_animated = self.kind in (PNG, WEBP, AVIF)
        frames = int(getattr(image, "n_frames", 1)) - _hidden_frames(image) if is_animated else 1
        if frames > limits.frames or frames * width * height > limits.total_pixels:
            raise too_many_frames(ref, frames, f"{width}x{height}", limits)
        if self.kind is not JPEG:  # its memory depends on the scale at which it is decoded
            transparency = "transparency" in image.info or bool(bare.transparent)
            layout = PictureLayout(_plugin(self.kind), image.mode, frames, transparency, bare.sample_bytes)
            allowed = int(limits.decoder_bytes / bytes_per_pixel(layout))
            if width * height > allowed:
                raise too_much_memory(ref, f"{width}x{height}", self.kind.name, allowed)
        exif = image.info.get("exif") if self.kind is not JXL or getattr(image, "jpeg", False) else None
        orientation = bare.orientation or find_orientation(exif) or 1
        size = Size(height, width) if orientation in SIDEWAYS else Size(width, height)
        return PictureHeader(_plugin(self.kind).lower(), size, frames, orientation)

    def _check_jpeg_memory(self, image: Image.Image, full: Size, copies: int) -> None:
        """Rejects a JPEG that does not fit: coefficients of a progressive file at full size, pixels as decoded."""
        layers: list[tuple[int, int, int, int]] = getattr(image, "layer", None) or [(0, 1, 1, 0)]
        across, down = max(layer[1] for layer in layers), max(layer[2] for layer in layers)
        coefficients = sum(layer[1] * layer[2] for layer in layers) / max(1, across * down)
        if not image.info.get("progressive"):
            coefficients = 0.0
        needed = jpeg_bytes(coefficients, full.pixels, copies * image.width * image.height)
        if needed > self.source.limits.decoder_bytes:
            allowed = int(self.source.limits.decoder_bytes / jpeg_bytes(coefficients, 1, copies))
            size = f"{full.width}x{full.height}"
            raise too_much_memory(self.source.ref, size, "progressive JPEG", allowed)

    def _check_complete(self, image: Image.Image, bare: BarePicture) -> None:
        """Rejects a JPEG without an end that lacks pixels: those depend on what follows. One block may lack some."""
        with Image.open(with_padding(bare.file), formats=("JPEG",)) as other:
            other.draft(image.mode, image.size)
            if other.size != image.size:
                raise CutPicture
            difference = ImageChops.difference(image, other).convert("RGB").getbbox()
        last = Box(image.width - _LAST_BLOCK_PX, image.height - _LAST_BLOCK_PX, image.width, image.height)
        if difference is not None and (difference[0] < last.left or difference[1] < last.top):
            raise CutPicture


def _plugin(kind: FileKind) -> str:
    """The name of the plugin for ``kind``, which is also the format in ``preview.json`` in upper case."""
    return "JXL" if kind is JXL else kind.name.upper()


def _register(source: PictureSource, kind: FileKind) -> None:
    """Registers the plugin of an extra, with one thread: more of them take more memory."""
    module = require_extra(source.ref, kind)
    if kind is HEIF:
        module.register_heif_opener(thumbnails=False, depth_images=False, aux_images=False, decode_threads=1)
    else:
        module.JpegXLImagePlugin.DECODE_THREADS = 0


def _check_pixels(source: PictureSource, size: Size) -> None:
    if size.pixels > source.limits.frame_pixels:
        found = f"{size.width}x{size.height}, {size.pixels} pixels"
        raise too_many_pixels(source.ref, found, source.limits)


def _go_to_page(source: PictureSource, image: Image.Image) -> None:
    for index in range(1, (source.page or 1) + 1):
        if index == source.page:
            return
        try:
            image.seek(index)
        except EOFError:
            check_page(source, index)


def _has_more_pages(image: Image.Image) -> bool:
    try:
        image.seek(1)
    except (EOFError, OSError, SyntaxError, ValueError):
        return False
    return True


def _seek(image: Image.Image, index: int) -> Image.Image:
    number = index + _hidden_frames(image)
    if isinstance(image, PngImageFile) and image.png is not None and number < image.tell():
        image.png.queue = []  # Pillow 13 keeps a chunk of the later frame, and would read it after its return
    image.seek(number)
    return image


def _hidden_frames(image: Image.Image) -> int:
    """1 if Pillow counts the default picture of an animated PNG, which is not part of the animation."""
    return int(getattr(image, "default_image", False))


def _in_eight_bits(image: Image.Image, bare: BarePicture, colour: ColourSpace | None) -> Image.Image:
    """The decoded picture in eight bits, with the alpha channel of a transparent colour of 16 bits."""
    picture = to_eight_bits(image, colour)
    if not bare.transparent:
        return picture
    mask = None
    for byte, shift in ((0, 8), (1, 0)):
        samples = [value >> shift & 255 for value in bare.transparent]
        for band, sample in zip(_one_byte(bare.file, byte).split(), samples, strict=True):
            equal = band.point([255 if value == sample else 0 for value in range(256)])
            mask = equal if mask is None else ImageChops.darker(mask, equal)
    if mask is not None:
        picture.putalpha(ImageChops.invert(mask))
    return picture


def _one_byte(file: BinaryIO, byte: int) -> Image.Image:
    """Decodes a PNG of 16 bits: the upper (0) or lower byte of each sample, as L or RGB."""
    file.seek(0)
    with Image.open(file, formats=("PNG",)) as image:
        mode = "RGB" if image.mode == "RGB" else "L"
        tile = image.tile[0]
        # Unpackers take the upper byte of each pair, in the byte order of their name.
        order = "B" if byte == 0 else "L" if mode == "RGB" else ""
        image.tile = [tile._replace(args=f"{mode};16{order}")]
        image._mode = mode
        image.load()
        return image.copy()
