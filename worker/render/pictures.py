"""Decodes untrusted picture files: checks the header against the limits, then decodes no larger than needed."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

from PIL import Image

from previewops.file_kinds import GIF, HEAD_BYTES, MOV, MP4, PDF, PICTURES, SVG, WEBM, FileKind, detect_kind
from previewops.job_errors import JobError
from previewops.worker.assets.opener import AssetRef, storage_errors
from previewops.worker.render.decode.clip_picture import ClipPicture
from previewops.worker.render.decode.errors import damaged_picture, too_many_pixels, unsupported_picture
from previewops.worker.render.decode.gif_picture import GifPicture
from previewops.worker.render.decode.motion import Motion, MovingPicture
from previewops.worker.render.decode.moving_clip import MovingClip, measure_clip
from previewops.worker.render.decode.moving_picture import (
    ANIMATED_KINDS,
    decode_part,
    measure_picture,
    open_animation,
)
from previewops.worker.render.decode.open_picture import (
    DecodedPicture,
    OpenPicture,
    PictureHeader,
    PictureSource,
)
from previewops.worker.render.decode.pdf_picture import PdfPicture
from previewops.worker.render.decode.pillow_picture import PillowPicture
from previewops.worker.render.decode.svg_picture import SvgPicture
from previewops.worker.render.layout.geometry import Size
from previewops.worker.render.limits import RenderLimits
from previewops.worker.render.storyboard import Playback

CLIP_KINDS = (MP4, MOV, WEBM)

# Load all plugins of Pillow in the fork server. Later, each child would load them from files that an upgrade may
# have replaced.
Image.init()


def read_header(
    ref: AssetRef, file: BinaryIO, limits: RenderLimits, *, page: int | None = None
) -> PictureHeader:
    """Reads the header of the picture in ``file``, without decoding. ``page`` is that of a document, from 1.

    Raises:
        PermanentJobError: asset-unsupported, asset-corrupt, asset-too-many-pixels, asset-too-many-frames,
            asset-page-missing.
    """
    with _opened(ref, file, limits, page) as picture:
        return picture.header


def decode_picture(
    ref: AssetRef,
    file: BinaryIO,
    limits: RenderLimits,
    needed: Size,
    *,
    page: int | None = None,
    fonts: tuple[str, ...] = (),
    playback: Playback | None = None,
) -> DecodedPicture:
    """Decodes a picture to sRGB: upright, without metadata, RGB or (if transparent) RGBA.

    ``page`` is that of a document, from 1; ``fonts`` are the files for text in drawings.

    An animation yields its representative frame, with ``playback`` one of the part that plays. The result has the
    smallest size that covers ``needed`` (of the upright picture) and is never larger than the original.

    Raises:
        PermanentJobError: as ``read_header``; asset-corrupt also for a file that lacks pixels.
    """
    with _recognized(ref, file, limits, page, fonts=fonts, playback=playback) as (source, kind):
        decoded = _decode(source, kind, needed)
    # Writers would copy the applied profile, comments, location and time.
    decoded.image.info = {}
    return decoded


@contextmanager
def _opened(
    ref: AssetRef,
    file: BinaryIO,
    limits: RenderLimits,
    page: int | None,
) -> Iterator[OpenPicture]:
    """Opens the picture; errors inside the block are raised as typed errors."""
    with _recognized(ref, file, limits, page) as (source, kind):
        yield _open(source, kind)


@contextmanager
def _recognized(
    ref: AssetRef,
    file: BinaryIO,
    limits: RenderLimits,
    page: int | None,
    *,
    fonts: tuple[str, ...] = (),
    playback: Playback | None = None,
) -> Iterator[tuple[PictureSource, FileKind]]:
    """Recognizes the kind of the picture; errors inside the block are raised as typed errors."""
    ceiling = Image.MAX_IMAGE_PIXELS
    # Pillow rejects twice this figure before a decoder allocates memory; the exact limit is checked below.
    Image.MAX_IMAGE_PIXELS = limits.frame_pixels
    kind: FileKind | None = None
    try:
        with warnings.catch_warnings(), storage_errors():
            warnings.simplefilter("ignore")  # about metadata: relevant problems are raised
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            size = file.seek(0, io.SEEK_END)
            file.seek(0)
            kind = detect_kind(file.read(HEAD_BYTES))
            if size and kind not in PICTURES:
                raise unsupported_picture(ref, kind)
            file.seek(0)
            if kind is None:
                raise ValueError("no content")
            yield PictureSource(ref, file, size, limits, page, fonts, playback), kind
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as bomb:
        found = str(bomb).partition(" exceeds")[0].removeprefix("Image size (").rstrip(")")
        raise too_many_pixels(ref, found, limits) from bomb
    except (JobError, MemoryError):
        raise
    except Exception as error:  # on malformed data decoders raise any exception, including RuntimeError
        raise damaged_picture(ref, kind, error) from error
    finally:
        Image.MAX_IMAGE_PIXELS = ceiling


def _decode(source: PictureSource, kind: FileKind, needed: Size) -> DecodedPicture:
    part = decode_part(source, kind, needed) if kind in ANIMATED_KINDS else None
    return part or _open(source, kind).decode(needed)


def _open(source: PictureSource, kind: FileKind) -> OpenPicture:
    if kind is SVG:
        return SvgPicture.open(source)
    if kind is PDF:
        return PdfPicture.open(source)
    if kind in CLIP_KINDS:
        return ClipPicture.open(source, kind)
    return GifPicture.open(source) if kind is GIF else PillowPicture.open(source, kind)


def measure_motion(ref: AssetRef, file: BinaryIO, limits: RenderLimits, playback: Playback) -> Motion | None:
    """Measures how the picture in ``file`` moves, without decoding; None if it does not move.

    Raises:
        PermanentJobError: as ``read_header``; asset-trim-outside.
    """
    with _recognized(ref, file, limits, None) as (source, kind):
        if kind in CLIP_KINDS:
            return measure_clip(source, kind, playback)
        return measure_picture(source, kind, playback) if kind in ANIMATED_KINDS else None


@contextmanager
def open_motion(
    ref: AssetRef, file: BinaryIO, limits: RenderLimits, playback: Playback, motion: Motion
) -> Iterator[MovingPicture]:
    """Opens the picture in ``file``, which ``measure_motion`` has measured, to play.

    Errors inside the block are raised as typed errors.
    """
    with _recognized(ref, file, limits, None) as (source, kind):
        if kind in CLIP_KINDS:
            yield MovingClip(source, kind, playback, motion)
            return
        with open_animation(source, kind, playback, motion) as animation:
            yield animation
