"""Reads images of a bundle at the terminal's size. Everything here blocks: call it in a thread."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from previewops.errors import PreviewopsError
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
MOST_PIXELS = 40_000_000
"""Memory limit: decoding takes 3 bytes a pixel."""

MOST_BYTES = 64 * 1024 * 1024
MOST_JSON_BYTES = 4 * 1024 * 1024
PREVIEW = "preview.json"


class PictureUnreadable(PreviewopsError):
    """A file of a bundle cannot be shown: damaged, missing, of an unsupported format, or too large."""

    code = "picture-unreadable"


def read_bundle(source: DataSource, record: JobRecord) -> BundleContents:
    """The files of a job's bundle on disk, with the pixel size of each image from its header.

    Raises:
        PreviewopsError: the bundle is not on this machine.
    """
    artifacts = parse_artifacts(record.result)
    if not artifacts:
        return BundleContents()
    find_bundle_folder(source, record)
    measured = tuple(replace(each, pixels=_measured(source, record, each)) for each in artifacts)
    return BundleContents(measured, parse_captions(_preview(source, record)))


def find_bundle_folder(source: DataSource, record: JobRecord) -> Path:
    """The folder of the bundle of a job that lists artifacts, found by the first artifact that exists.

    Raises:
        PreviewopsError: none of them is on this machine; the reason for the first one.
    """
    trouble: PreviewopsError | None = None
    for artifact in parse_artifacts(record.result):
        try:
            file = source.artifact(record, artifact.path)
        except PreviewopsError as error:
            trouble = trouble or error
        else:
            return file.parents[artifact.path.count("/")]
    raise trouble or PictureUnreadable(f"the result of job {record.job_id} lists no files")


def _measured(source: DataSource, record: JobRecord, artifact: BundleFile) -> tuple[int, int] | None:
    if artifact.media_type not in PICTURE_TYPES:
        return None
    try:
        with _opened(source.artifact(record, artifact.path)) as image:
            return image.size
    except PreviewopsError:
        return None  # the error is shown when the image is opened


def _preview(source: DataSource, record: JobRecord) -> Any:
    try:
        path = source.artifact(record, PREVIEW)
        with path.open("rb") as file:
            return json.loads(file.read(MOST_JSON_BYTES))
    except (PreviewopsError, OSError, ValueError, RecursionError):
        return None  # only the captions are missing then


def read_pixels(path: Path, most: tuple[int, int], ground: Colour) -> Pixels:
    """The image scaled to at most ``most`` pixels, on an opaque background.

    Raises:
        PictureUnreadable: the image cannot be read.
    """
    image = read_picture(path, most, ground)
    return Pixels(image.width, image.height, image.tobytes())


def read_picture(path: Path, most: tuple[int, int], ground: Colour) -> Image:
    """As ``read_pixels``, as a Pillow image."""
    from PIL import Image

    with _opened(path) as image:
        size = fit_size(image.width, image.height, *most)
        shown: Image.Image = image if image.mode in ("RGB", "RGBA", "L") else image.convert("RGBA")
        shown.thumbnail(size, Image.Resampling.LANCZOS, reducing_gap=2.0)
        shown = shown.convert("RGBA")
        paper = Image.new("RGBA", shown.size, (*ground, 255))
        paper.alpha_composite(shown)
        return paper.convert("RGB")


@contextmanager
def _opened(path: Path) -> Iterator[Image]:
    """The image with its header read. Every error, then or while decoding, is ``PictureUnreadable``."""
    import struct

    from PIL import Image

    try:
        _refuse_giants(path.name, path.stat().st_size, MOST_BYTES, "bytes")
        with Image.open(path, formats=FORMATS) as image:
            _refuse_giants(path.name, image.width * image.height, MOST_PIXELS, "pixels")
            yield image
    except (OSError, ValueError, SyntaxError, EOFError, struct.error, MemoryError, Warning) as error:
        raise PictureUnreadable(
            f"{path.name} cannot be shown: {error}", hint="render the job again if the file is damaged"
        ) from error
    except Image.DecompressionBombError as error:
        raise PictureUnreadable(f"{path.name} cannot be shown: {error}") from error


def _refuse_giants(name: str, found: int, allowed: int, unit: str) -> None:
    if found > allowed:
        raise PictureUnreadable(
            f"{name}: found {found:,} {unit}, allowed {allowed:,}", hint="open the file itself"
        )
