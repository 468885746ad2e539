"""The dry run: describes the bundle of a payload. It opens every asset, reads its header and writes nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from previewops.worker.assets.opener import AssetOpener
from previewops.worker.render.bundle_paths import choose_bundle_paths
from previewops.worker.render.bundle_warnings import collect_warnings
from previewops.worker.render.encode.sound import check_sound
from previewops.worker.render.encode.stills import MEDIA_TYPES
from previewops.worker.render.encode.webvtt import build_tracks
from previewops.worker.render.layout.geometry import Size
from previewops.worker.render.layout.sheet import lay_out_sheet
from previewops.worker.render.limits import RenderLimits
from previewops.worker.render.picture_cache import InspectedAsset, inspect_assets
from previewops.worker.render.render import lay_out_cards, make_typesetter
from previewops.worker.render.storyboard import Asset, Storyboard
from previewops.worker.render.text.fontfiles import FontSources

# Orders of magnitude, measured on one core of a small server; half of each frame was a photograph.
_BYTES_PER_PIXEL = {
    "webp": 0.045, "avif": 0.03, "jpeg": 0.09, "png": 0.2, "gif": 0.08, "apng": 0.2, "webm": 0.03, "mp4": 0.06,
}  # at quality 80  # fmt: skip
_LOSSY = ("webp", "avif", "jpeg", "webm", "mp4")
_ENCODE_NS_PER_PIXEL = {
    "webp": 30, "avif": 50, "jpeg": 8, "png": 45, "gif": 35, "apng": 45, "webm": 45, "mp4": 25,
}  # fmt: skip
_DRAW_NS_PER_PIXEL = 18
_DECODE_NS_PER_PIXEL = 9
_OVERHEAD_MS = 30


def plan_render(
    board: Storyboard, *, opener: AssetOpener, limits: RenderLimits, fonts: FontSources | None = None
) -> dict[str, Any]:
    """Describes the bundle of a storyboard that ``check_limits`` has accepted, as JSON values.

    Widths and heights are exact; bytes and time are estimates.

    Raises:
        PermanentJobError, TransientJobError: as ``render``, except errors that only decoding finds.
    """
    inspected = inspect_assets(board.assets.values(), opener, limits, allow_gaps=board.allow_gaps)
    check_sound(board, inspected, opener, limits, decode=False)
    typesetter = make_typesetter(board, fonts)
    layouts = lay_out_cards(board, inspected, typesetter)
    asset_errors = {name: asset.error for name, asset in inspected.items() if asset.error is not None}
    artifacts = _describe_artifacts(board, inspected)
    return {
        "width": board.size.width,
        "height": board.size.height,
        "durationMs": board.duration_ms,
        "steps": len(board.steps),
        "artifacts": artifacts,
        "assets": [_describe_asset(asset, inspected[name]) for name, asset in board.assets.items()],
        "estimate": {
            "bytes": sum(artifact["estimatedBytes"] for artifact in artifacts),
            "ms": _estimate_ms(board, inspected, artifacts),
        },
        "undrawn": list(typesetter.undrawn),
        "warnings": list(collect_warnings(board, inspected, layouts, typesetter, asset_errors)),
    }


def _describe_artifacts(board: Storyboard, inspected: Mapping[str, InspectedAsset]) -> list[dict[str, Any]]:
    paths = choose_bundle_paths(board)
    sheet = lay_out_sheet(board).size
    entries = [
        _describe_picture(path, board.image_format, board, board.size)
        for path in (paths.poster, *paths.frames)
    ]
    entries.append(_describe_picture(paths.sheet, board.image_format, board, sheet))
    if paths.animation and board.animation:
        entries.append(
            _describe_picture(paths.animation, board.animation, board, board.size, len(paths.frames))
        )
    entries += [
        _describe_track(path, content)
        for path, content in build_tracks(board, paths, lay_out_sheet(board)).items()
    ]
    for name, path in paths.thumbnails.items():
        picture = inspected[name].picture
        if picture is not None and board.thumbnail is not None:
            size = picture.size.shrunk(board.thumbnail)
            entries.append(_describe_picture(path, board.image_format, board, size))
    return entries


def _describe_picture(path: str, kind: str, board: Storyboard, size: Size, frames: int = 1) -> dict[str, Any]:
    quality = board.quality / 80 if kind in _LOSSY else 1.0
    return {
        "path": path,
        "mediaType": MEDIA_TYPES[kind],
        "width": size.width,
        "height": size.height,
        "frames": frames,
        "estimatedBytes": round(size.pixels * frames * _BYTES_PER_PIXEL[kind] * quality),
    }


def _describe_track(path: str, content: bytes) -> dict[str, Any]:
    return {"path": path, "mediaType": MEDIA_TYPES["vtt"], "estimatedBytes": len(content)}


def _describe_asset(asset: Asset, inspected: InspectedAsset) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "id": asset.ref.id,
        "uri": asset.ref.short_uri,
        "type": "image" if asset.is_image else "audio",
    }
    if inspected.error is None:
        entry["bytes"] = inspected.size_bytes
    else:
        entry["error"] = {"code": inspected.error.code, "message": inspected.error.message}
    if asset.ref.sha256 is not None:
        entry["sha256"] = asset.ref.sha256.lower()
    if inspected.picture is not None:
        entry |= {
            "format": inspected.picture.format,
            "width": inspected.picture.size.width,
            "height": inspected.picture.size.height,
            "frames": inspected.picture.frames,
        }
    return entry


def _estimate_ms(
    board: Storyboard, inspected: Mapping[str, InspectedAsset], artifacts: list[dict[str, Any]]
) -> int:
    frames = board.size.pixels * (len(board.steps) + 1)
    decoded: int = sum(asset.picture.size.pixels for asset in inspected.values() if asset.picture is not None)
    still_cost = _ENCODE_NS_PER_PIXEL[board.image_format]
    animation_cost = _ENCODE_NS_PER_PIXEL[board.animation] if board.animation else 0
    if board.animation == board.image_format:
        animation_cost = 0  # the animation reuses the encoded stills
    stills: int = sum(entry["width"] * entry["height"] for entry in artifacts if entry.get("frames") == 1)
    nanoseconds = (
        frames * (_DRAW_NS_PER_PIXEL + animation_cost) + stills * still_cost + decoded * _DECODE_NS_PER_PIXEL
    )
    return _OVERHEAD_MS + round(nanoseconds / 1_000_000)
