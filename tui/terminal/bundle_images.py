"""Reads images of a bundle at the terminal's size. Everything here blocks: call it in a thread."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from previewops.errors import PreviewopsError
from previewops.stores.port import ArtifactFile
from previewops.tui.protocols import DataSource
from previewops.tui.viewmodel.half_blocks import Colour, Pixels, fit_size
from previewops.tui.viewmodel.job.artifacts import (
    PICTURE_TYPES,
    BundleContents,
    BundleFile,
    parse_artifacts,
    parse_captions,
)

if TYPE_CHECKING:
    from PIL.Image import Image

    from previewops.queue.records import JobRecord

FORMATS = ("WEBP", "PNG", "JPEG", "GIF", "AVIF")
MAX_PIXELS = 40_000_000
"""Memory limit: decoding takes 3 bytes a pixel."""

MAX_BYTES = 64 * 1024 * 1024
MAX_JSON_BYTES = 4 * 1024 * 1024
PREVIEW = "preview.json"


class PictureUnreadable(PreviewopsError):
    """A file of a bundle cannot be shown: damaged, missing, of an unsupported format, or too large."""

    code = "picture-unreadable"


def read_bundle(source: DataSource, record: JobRecord) -> BundleContents:
    """The files of a job's bundle, with the pixel size of each image from its header.

    Raises:
        PreviewopsError: the bundle is not in this store.
    """
    artifacts = parse_artifacts(record.result)
    if not artifacts:
        return BundleContents()
    find_bundle(source, record)
    measured = tuple(replace(artifact, pixels=_measure(source, record, artifact)) for artifact in artifacts)
    return BundleContents(measured, parse_captions(_read_preview_json(source, record)))


def find_bundle(source: DataSource, record: JobRecord) -> str | None:
    """The folder of the bundle of a job that lists artifacts, found by the first artifact that exists.

    None if the bundle is in an object store.

    Raises:
        PreviewopsError: none of them is in this store; the reason for the first one.
    """
    first_error: PreviewopsError | None = None
    for artifact in parse_artifacts(record.result):
        try:
            file = source.artifact(record, artifact.path)
        except PreviewopsError as error:
            first_error = first_error or error
        else:
            return None if file.path is None else str(file.path.parents[artifact.path.count("/")])
    raise first_error or PictureUnreadable(f"the result of job {record.job_id} lists no files")


def _measure(source: DataSource, record: JobRecord, artifact: BundleFile) -> tuple[int, int] | None:
    if artifact.media_type not in PICTURE_TYPES:
        return None
    try:
        with _open_image(source.artifact(record, artifact.path)) as image:
            return image.size
    except PreviewopsError:
        return None  # the error is shown when the image is opened


def _read_preview_json(source: DataSource, record: JobRecord) -> Any:
    try:
        with source.artifact(record, PREVIEW).open() as file:
            return json.loads(file.read(MAX_JSON_BYTES))
    except (PreviewopsError, OSError, ValueError, RecursionError):
        return None  # only the captions are missing then


def read_pixels(file: ArtifactFile, most: tuple[int, int], background: Colour) -> Pixels:
    """The image scaled to at most ``most`` pixels, on an opaque background.

    Raises:
        PictureUnreadable: the image cannot be read.
    """
    image = read_picture(file, most, background)
    return Pixels(image.width, image.height, image.tobytes())


def read_picture(file: ArtifactFile, most: tuple[int, int], background: Colour) -> Image:
    """As ``read_pixels``, as a Pillow image."""
    from PIL import Image

    with _open_image(file) as image:
        size = fit_size(image.width, image.height, *most)
        scaled: Image.Image = image if image.mode in ("RGB", "RGBA", "L") else image.convert("RGBA")
        scaled.thumbnail(size, Image.Resampling.LANCZOS, reducing_gap=2.0)
        scaled = scaled.convert("RGBA")
        opaque = Image.new("RGBA", scaled.size, (*background, 255))
        opaque.alpha_composite(scaled)
        return opaque.convert("RGB")


@contextmanager
def _open_image(file: ArtifactFile) -> Iterator[Image]:
    """The image with its header read. Every error, then or while decoding, is ``PictureUnreadable``."""
    import struct

    from PIL import Image

    try:
        _check_size(file.name, file.size, MAX_BYTES, "bytes")
        with file.open() as content, Image.open(content, formats=FORMATS) as image:
            _check_size(file.name, image.width * image.height, MAX_PIXELS, "pixels")
            yield image
    except (OSError, ValueError, SyntaxError, EOFError, struct.error, MemoryError, Warning) as error:
        raise PictureUnreadable(
            f"{file.name} cannot be shown: {error}", hint="render the job again if the file is damaged"
        ) from error
    except Image.DecompressionBombError as error:
        raise PictureUnreadable(f"{file.name} cannot be shown: {error}") from error


def _check_size(name: str, actual: int, allowed: int, unit: str) -> None:
    if actual > allowed:
        raise PictureUnreadable(
            f"{name}: found {actual:,} {unit}, allowed {allowed:,}", hint="open the file itself"
        )
