"""Contents of a bundle: its files, images and captions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from previewops.formatting import format_bytes, format_duration
from previewops.tui.viewmodel.columns import TableColumn
from previewops.tui.viewmodel.safe_numbers import safe_count
from previewops.tui.viewmodel.spans import Line, Span, Tone, clean_span

MAX_ARTIFACTS = 2_000
"""A result with more files is truncated: anybody who can write to Redis can write results."""

PICTURE_TYPES = ("image/webp", "image/png", "image/jpeg", "image/gif", "image/avif")

ARTIFACT_COLUMNS = (
    TableColumn("file", 18, grow=3),
    TableColumn("type", 10, drop=1),
    TableColumn("pixels", 9, right=True),
    TableColumn("size", 9, right=True),
)

_ORDER = ("poster.", "frames/", "sheet.", "thumbs/")


@dataclass(frozen=True, slots=True)
class BundleFile:
    """One file of a bundle. ``path`` is relative to it; ``pixels`` is (width, height) if known."""

    path: str
    size_bytes: int
    media_type: str
    pixels: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class BundleContents:
    """A bundle on disk: its files in the manifest's order, and captions by path."""

    artifacts: tuple[BundleFile, ...] = ()
    captions: Mapping[str, str] = field(default_factory=dict)

    @property
    def pictures(self) -> tuple[BundleFile, ...]:
        """The images in viewing order: poster, frames, sheet, thumbnails; without copies at other widths."""
        shown = [
            item
            for item in self.artifacts
            if item.media_type in PICTURE_TYPES and _rank(item) is not None and not _is_copy(item)
        ]
        return tuple(sorted(shown, key=lambda item: _rank(item) or 0))


def _is_copy(artifact: BundleFile) -> bool:
    """Whether a frame is a copy at another width, such as frames/001-640.webp."""
    _, dash, width = artifact.path.rpartition(".")[0].rpartition("-")
    return artifact.path.startswith("frames/") and bool(dash) and width.isdecimal()


def _rank(artifact: BundleFile) -> int | None:
    return next((index for index, start in enumerate(_ORDER) if artifact.path.startswith(start)), None)


def parse_artifacts(result: Mapping[str, Any] | None) -> tuple[BundleFile, ...]:
    """The files that a job's result lists, without invalid entries."""
    entries = (result or {}).get("artifacts")
    if not isinstance(entries, list):
        return ()
    files = []
    for item in entries[:MAX_ARTIFACTS]:
        size_bytes = safe_count(item.get("bytes")) if isinstance(item, dict) else None
        if size_bytes is not None and isinstance(item.get("path"), str):
            files.append(BundleFile(item["path"], size_bytes, str(item.get("mediaType", ""))))
    return tuple(files)


def parse_captions(preview: object) -> dict[str, str]:
    """Captions by path from ``preview.json``: step, title and duration."""
    if not isinstance(preview, dict):
        return {}
    captions: dict[str, str] = {}
    for frame in _objects(preview.get("frames")):
        path, step, title = (frame.get(name) for name in ("path", "step", "title"))
        shown_ms = safe_count(frame.get("durationMs"))
        if isinstance(path, str):
            parts = [f"step {step}" if step else "title card"]
            parts += [title] if isinstance(title, str) and title else []
            parts += [format_duration(shown_ms)] if shown_ms is not None else []
            captions[path] = " · ".join(parts)
    for asset in _objects(preview.get("assets")):
        if isinstance(asset.get("thumbnail"), str):
            captions[asset["thumbnail"]] = f"asset {asset.get('id')}"
    for name, caption in (("poster", "poster"), ("sheet", "contact sheet")):
        entry = preview.get(name)
        if isinstance(entry, dict) and isinstance(entry.get("path"), str):
            captions[entry["path"]] = caption
    return captions


def _objects(value: object) -> list[dict[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def picture_title(bundle: BundleContents, index: int) -> str:
    image = bundle.pictures[index]
    return bundle.captions.get(image.path, image.path)


def picture_subtitle(bundle: BundleContents, index: int) -> str:
    """Index, file, pixels and size of the image."""
    image = bundle.pictures[index]
    parts = [f"{index + 1} of {len(bundle.pictures)}", image.path]
    if image.pixels is not None:
        parts.append(format_pixels(image.pixels))
    return " · ".join([*parts, format_bytes(image.size_bytes)])


def format_pixels(pixels: tuple[int, int]) -> str:
    return f"{pixels[0]}x{pixels[1]}"


def format_artifact_cells(artifact: BundleFile) -> tuple[Line, ...]:
    """The cells of ``ARTIFACT_COLUMNS``."""
    pixels = format_pixels(artifact.pixels) if artifact.pixels is not None else ""
    return (
        (clean_span(artifact.path),),
        (clean_span(artifact.media_type.removeprefix("image/").removeprefix("application/"), Tone.DIM),),
        (Span(pixels, Tone.DIM),),
        (Span(format_bytes(artifact.size_bytes)),),
    )


def format_total(artifacts: Sequence[BundleFile]) -> str:
    """Number and total size of the files."""
    if not artifacts:
        return "artifacts"
    return f"artifacts · {len(artifacts):,}, {format_bytes(sum(item.size_bytes for item in artifacts))}"
