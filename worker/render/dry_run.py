"""The dry run: describes the bundle of a payload. It opens every asset, reads its header and writes nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from previewops.worker.assets.opener import AssetOpener
from previewops.worker.render.bundle_paths import choose_bundle_paths
from previewops.worker.render.bundle_warnings import collect_warnings
from previewops.worker.render.encode.avif import require_avif
from previewops.worker.render.encode.sound import check_sound
from previewops.worker.render.encode.stills import MEDIA_TYPES
from previewops.worker.render.encode.webvtt import build_tracks
from previewops.worker.render.encoder_memory import reserve_memory
from previewops.worker.render.layout.geometry import Size
from previewops.worker.render.layout.sheet import lay_out_sheet
from previewops.worker.render.limits import RenderLimits
from previewops.worker.render.picture_cache import InspectedAsset, inspect_assets
from previewops.worker.render.playing import (
    count_frames,
    outputs_by_pacing,
    played_assets,
    with_played_durations,
)
from previewops.worker.render.render import lay_out_cards
from previewops.worker.render.storyboard import AVIF_SLOW, Asset, Storyboard
from previewops.worker.render.text.fontfiles import FontSources
from previewops.worker.render.text.paragraphs import MAX_CHARACTERS, laid_out_characters
from previewops.worker.render.text.typesetting import Typesetter

# Orders of magnitude, measured on one core of a small server; half of each frame was a photograph.
_BYTES_PER_PIXEL = {
    "webp": 0.045, "avif": 0.03, "jpeg": 0.09, "png": 0.2, "gif": 0.08, "apng": 0.2, "webm": 0.03, "mp4": 0.06,
}  # at quality 80  # fmt: skip
_LOSSY = ("webp", "avif", "jpeg", "webm", "mp4")
_ENCODE_NS_PER_PIXEL = {
    "webp": 30, "avif": 120, "jpeg": 8, "png": 45, "gif": 35, "apng": 45, "webm": 45, "mp4": 25,
}  # fmt: skip
_SLOW_AVIF_NS_PER_PIXEL = 300
_DRAW_NS_PER_PIXEL = 18
_DECODE_NS_PER_PIXEL = 9
_TEXT_NS_PER_CHARACTER = 5_000  # of the costliest kinds: each letter in another direction
_OVERHEAD_MS = 30


def plan_render(
    storyboard: Storyboard, *, opener: AssetOpener, limits: RenderLimits, fonts: FontSources | None = None
) -> dict[str, Any]:
    """Describes the bundle of a storyboard that ``check_limits`` has accepted, as JSON values.

    Widths and heights are exact; bytes and time are estimates.

    Raises:
        PermanentJobError, TransientJobError: as ``render``, except errors that only decoding finds.
    """
    if storyboard.image_format == "avif":
        require_avif()
    limits = reserve_memory(storyboard, limits)
    inspected = inspect_assets(storyboard.assets.values(), opener, limits, allow_gaps=storyboard.allow_gaps)
    storyboard = with_played_durations(storyboard, inspected, limits)
    check_sound(storyboard, inspected, opener, limits, decode=False)
    typesetter = Typesetter(fonts, storyboard.shaping_language, storyboard.brand.font)
    layouts = lay_out_cards(storyboard, inspected, typesetter)
    asset_errors = {name: asset.error for name, asset in inspected.items() if asset.error is not None}
    artifacts = _describe_artifacts(storyboard, inspected)
    return {
        "width": storyboard.size.width,
        "height": storyboard.size.height,
        "durationMs": storyboard.shown_ms,
        "partial": storyboard.selection.as_json(),
        "steps": len(storyboard.steps),
        "artifacts": artifacts,
        "assets": [_describe_asset(asset, inspected[name]) for name, asset in storyboard.assets.items()],
        "estimate": {
            "bytes": sum(artifact["estimatedBytes"] for artifact in artifacts),
            "ms": _estimate_ms(storyboard, inspected, artifacts),
        },
        "text": {
            "characters": sum(map(laid_out_characters, storyboard.texts)),
            "maxCharactersPerText": MAX_CHARACTERS,
        },
        "undrawn": list(typesetter.undrawn),
        "warnings": list(
            collect_warnings(
                storyboard,
                inspected,
                layouts,
                typesetter,
                asset_errors=asset_errors,
                asset_notes={},
                played=played_assets(storyboard, layouts, inspected, limits),
            )
        ),
    }


def _describe_artifacts(
    storyboard: Storyboard, inspected: Mapping[str, InspectedAsset]
) -> list[dict[str, Any]]:
    paths = choose_bundle_paths(storyboard)
    sheet = lay_out_sheet(storyboard) if paths.sheet else None
    entries = []
    for path, copies in paths.copies.items():
        entries.append(_describe_picture(storyboard, path, storyboard.size))
        entries += [_describe_picture(storyboard, copy.path, copy.size) for copy in copies]
    if sheet and paths.sheet:
        entries.append(_describe_picture(storyboard, paths.sheet, sheet.size))
    for kind, path in zip(storyboard.animations, paths.animations, strict=True):
        frames = count_frames(storyboard, inspected, kind)
        entries.append(_describe_picture(storyboard, path, storyboard.size, kind, frames))
    entries += [
        {"path": path, "mediaType": MEDIA_TYPES["vtt"], "estimatedBytes": len(content)}
        for path, content in build_tracks(storyboard, paths, sheet).items()
    ]
    for name, path in paths.thumbnails.items():
        picture = inspected[name].picture
        if picture is not None and storyboard.thumbnail is not None:
            entries.append(_describe_picture(storyboard, path, picture.size.shrunk(storyboard.thumbnail)))
    return entries


def _describe_picture(
    storyboard: Storyboard, path: str, size: Size, animation: str | None = None, frames: int = 1
) -> dict[str, Any]:
    kind = animation or storyboard.image_format
    quality = storyboard.quality / 80 if kind in _LOSSY else 1.0
    return {
        "path": path,
        "mediaType": MEDIA_TYPES[kind],
        "width": size.width,
        "height": size.height,
        "frames": frames,
        "estimatedBytes": round(size.pixels * frames * _BYTES_PER_PIXEL[kind] * quality),
    }


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
        entry |= {**inspected.picture.as_json(), "frames": inspected.picture.frames}
    return entry


def _estimate_ms(
    storyboard: Storyboard, inspected: Mapping[str, InspectedAsset], artifacts: list[dict[str, Any]]
) -> int:
    drawn = storyboard.size.pixels * (len(storyboard.drawn_cards) + _moving_frames(storyboard, inspected))
    stills: int = sum(entry["width"] * entry["height"] for entry in artifacts if entry.get("frames") == 1)
    still_ns = _ENCODE_NS_PER_PIXEL[storyboard.image_format]
    if storyboard.image_format == "avif" and storyboard.avif_speed == AVIF_SLOW:
        still_ns = _SLOW_AVIF_NS_PER_PIXEL
    nanoseconds = drawn * _DRAW_NS_PER_PIXEL + stills * still_ns
    decoded = (asset.picture.size.pixels for asset in inspected.values() if asset.picture)
    nanoseconds += _DECODE_NS_PER_PIXEL * sum(decoded)
    nanoseconds += _TEXT_NS_PER_CHARACTER * sum(map(laid_out_characters, storyboard.texts))
    for kind in storyboard.animations:
        frames = count_frames(storyboard, inspected, kind)
        if kind == storyboard.image_format:  # it reuses the encoded stills
            frames -= len(storyboard.cards)
        nanoseconds += storyboard.size.pixels * frames * _ENCODE_NS_PER_PIXEL[kind]
    return _OVERHEAD_MS + round(nanoseconds / 1_000_000)


def _moving_frames(storyboard: Storyboard, inspected: Mapping[str, InspectedAsset]) -> int:
    """Returns how many frames are drawn beside those of the cards: animations with the same pacing share them."""
    kinds = (kinds[0] for kinds in outputs_by_pacing(storyboard).values())
    return sum(count_frames(storyboard, inspected, kind) - len(storyboard.cards) for kind in kinds)
