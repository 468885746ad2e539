"""The manifests of a bundle: ``container.json`` lists its files, ``preview.json`` describes the preview.

``container.json`` has path, bytes, SHA-256 and media type of every file, and is equal for equal payloads and
assets. ``preview.json`` has the SHA-256 of ``container.json``, so that one checksum covers the bundle. It also has
timings: it is the only file that differs between runs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from previewops.worker.render.alt_texts import describe_card
from previewops.worker.render.artifacts import ArtifactWriter
from previewops.worker.render.jsonfile import encode_json
from previewops.worker.render.placeholder import Placeholder
from previewops.worker.render.render import RenderResult
from previewops.worker.render.storyboard import VIDEO_FORMATS, Storyboard
from previewops.worker.render.theme import format_hex
from previewops.worker.render.widths import format_srcset

CONTAINER = "container.json"
PREVIEW = "preview.json"
RENDERER_VERSION = "9"  # increment when the pictures of an unchanged payload change


def write_manifests(result: RenderResult, writer: ArtifactWriter, payload: Mapping[str, Any]) -> None:
    """Writes both files next to the pictures of ``result``.

    Raises:
        TransientJobError: io-error, disk-full.
    """
    files = [artifact.as_json() for artifact in sorted(result.artifacts, key=lambda artifact: artifact.path)]
    container = writer.write(CONTAINER, "json", encode_json({"version": 1, "files": files}))
    writer.write(PREVIEW, "json", encode_json(_build_preview(result, payload, container.sha256)))


def _build_preview(result: RenderResult, payload: Mapping[str, Any], container_sha256: str) -> dict[str, Any]:
    """Returns the content of ``preview.json``. Lengths are in pixels, durations and timings in ms."""
    storyboard, paths = result.storyboard, result.paths
    animations = [
        {"path": path, "format": kind} | ({} if kind in VIDEO_FORMATS else {"loops": 0})
        for path, kind in zip(paths.animations, storyboard.animations, strict=True)
    ]
    return {
        "version": 1,
        "renderer": RENDERER_VERSION,
        "jobId": payload["jobId"],
        "projectId": payload["projectId"],
        "requestId": payload["requestId"],
        "title": storyboard.title,
        "language": storyboard.language,
        "theme": {
            "name": storyboard.theme_name,
            "digest": storyboard.theme_digest,
            "background": format_hex(storyboard.theme.background),
            "accent": format_hex(storyboard.theme.accent),
        },
        "brand": _build_brand(storyboard),
        "width": storyboard.size.width,
        "height": storyboard.size.height,
        "durationMs": storyboard.shown_ms,
        "partial": storyboard.selection.as_json(),
        "poster": _build_poster(result, paths.poster) if paths.poster else None,
        "frames": list(_build_frames(result)),
        "sheet": {
            "path": paths.sheet,
            "index": paths.sheet_index,
            "width": result.sheet.size.width,
            "height": result.sheet.size.height,
        }
        if result.sheet
        else None,
        "animation": animations[0] if animations else None,
        "animations": animations,
        "captions": paths.captions,
        "chapters": paths.chapters,
        "assets": [_build_asset(result, name) for name in storyboard.assets],
        "audio": {
            "assetId": storyboard.sound.asset_id,
            "offsetMs": storyboard.sound.offset_ms,
            "gainDb": storyboard.sound.gain_db,
        }
        if storyboard.sound
        else None,
        "fonts": list(result.fonts),
        "undrawn": [f"U+{ord(char):04X}" for char in result.undrawn],
        "warnings": list(result.warnings),
        "timingsMs": dict(result.timings_ms),
        "container": {"path": CONTAINER, "sha256": container_sha256},
    }


def _build_brand(storyboard: Storyboard) -> dict[str, Any] | None:
    """Returns the brand of job and theme; ``logo`` is the id of its asset."""
    brand, logo = storyboard.brand, storyboard.logo
    if logo is None and not brand.font and not brand.footer:
        return None
    return {
        "logo": logo.ref.id if logo else None,
        "corner": brand.corner,
        "font": brand.font,
        "footer": brand.footer or None,
    }


def _build_poster(result: RenderResult, path: str) -> dict[str, Any]:
    placeholder = _placeholder_fields(result.poster_placeholder) if result.poster_placeholder else {}
    alt = describe_card(result.storyboard, 0)
    return {"path": path, "alt": alt, **_build_copies(result, path), **placeholder}


def _build_frames(result: RenderResult) -> Iterator[dict[str, Any]]:
    storyboard = result.storyboard
    for number, start_ms, end_ms in storyboard.intervals():
        path = result.paths.frames.get(number)
        if path is None:
            continue
        yield {
            "path": path,
            "step": number,
            "title": storyboard.steps[number - 1].title if number else storyboard.title,
            "alt": describe_card(storyboard, number),
            **_build_copies(result, path),
            "startMs": start_ms,
            "durationMs": end_ms - start_ms,
        }


def _build_copies(result: RenderResult, path: str) -> dict[str, Any]:
    """Returns the picture's ``srcset`` and its copies, if the payload requests widths."""
    storyboard, copies = result.storyboard, result.paths.copies[path]
    if not storyboard.widths:
        return {}
    listed = [{"path": copy.path, "width": copy.size.width, "height": copy.size.height} for copy in copies]
    return {"srcset": format_srcset(path, storyboard.size, copies), "copies": listed}


def _build_asset(result: RenderResult, name: str) -> dict[str, Any]:
    inspected = result.inspected[name]
    entry: dict[str, Any] = {"id": name}
    if inspected.error is None:
        entry["bytes"] = inspected.size_bytes
    if inspected.picture is not None:
        entry |= inspected.picture.as_json()
    if name in result.asset_errors:
        error = result.asset_errors[name]
        entry["error"] = {"code": error.code, "message": error.message}
    if name in result.asset_notes:
        entry["warnings"] = list(result.asset_notes[name])
    if name in result.placeholders:
        entry |= _placeholder_fields(result.placeholders[name])
    if name in result.paths.thumbnails and name not in result.asset_errors:
        entry["thumbnail"] = result.paths.thumbnails[name]
    return entry


def _placeholder_fields(value: Placeholder) -> dict[str, str]:
    return {"thumbhash": value.thumbhash, "dominantColour": value.colour}
