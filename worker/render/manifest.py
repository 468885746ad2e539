"""The manifests of a bundle: ``container.json`` lists its files, ``preview.json`` describes the preview.

``container.json`` has path, bytes, SHA-256 and media type of every file, and is equal for equal payloads and
assets. ``preview.json`` has the SHA-256 of ``container.json``, so that one checksum covers the bundle. It also has
timings: it is the only file that differs between runs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from previewops.worker.render.artifacts import ArtifactWriter
from previewops.worker.render.jsonfile import encode_json
from previewops.worker.render.placeholder import Placeholder
from previewops.worker.render.render import RenderResult

CONTAINER = "container.json"
PREVIEW = "preview.json"
RENDERER_VERSION = "8"  # increment when the pictures of an unchanged payload change


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
    return {
        "version": 1,
        "renderer": RENDERER_VERSION,
        "jobId": payload["jobId"],
        "projectId": payload["projectId"],
        "requestId": payload["requestId"],
        "title": storyboard.title,
        "language": storyboard.language,
        "width": storyboard.size.width,
        "height": storyboard.size.height,
        "durationMs": storyboard.duration_ms,
        "poster": {"path": paths.poster, **_placeholder_fields(result.poster_placeholder)},
        "frames": list(_build_frames(result)),
        "sheet": {
            "path": paths.sheet,
            "index": paths.sheet_index,
            "width": result.sheet.size.width,
            "height": result.sheet.size.height,
        },
        "animation": {"path": paths.animation, "format": storyboard.animation, "loops": 0}
        if paths.animation
        else None,
        "captions": paths.captions,
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


def _build_frames(result: RenderResult) -> Iterator[dict[str, Any]]:
    storyboard, start = result.storyboard, 0
    for index, path in enumerate(result.paths.frames):
        step = storyboard.steps[index - 1] if index else None
        duration = result.durations_ms[index]
        title = step.title if step else storyboard.title
        yield {"path": path, "step": index, "title": title, "startMs": start, "durationMs": duration}
        start += duration


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
