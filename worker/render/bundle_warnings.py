"""Warnings about payload content that a bundle lacks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Set
from pathlib import PurePath

from previewops.job_errors import PermanentJobError
from previewops.worker.render.decode.clip_picture import CLIP_NOTE
from previewops.worker.render.layout.frames import FrameLayout
from previewops.worker.render.layout.type_scale import SMALLEST_FOOTED, is_tiny
from previewops.worker.render.picture_cache import InspectedAsset
from previewops.worker.render.playing import step_layouts
from previewops.worker.render.storyboard import VIDEO_FORMATS, Storyboard
from previewops.worker.render.text.typesetting import Typesetter


def collect_warnings(
    storyboard: Storyboard,
    inspected: Mapping[str, InspectedAsset],
    layouts: tuple[FrameLayout, ...],
    typesetter: Typesetter,
    *,
    asset_errors: Mapping[str, PermanentJobError],
    asset_notes: Mapping[str, tuple[str, ...]],
    played: Set[str] = frozenset(),
) -> tuple[str, ...]:
    """Returns a warning for each truncated text, omitted picture, unavailable or damaged asset and unusable font.

    ``played`` are the ids of the assets that play.
    """
    warnings = []
    if is_tiny(storyboard.size) and any(layout.placements for layout in layouts):
        width, height = storyboard.size
        warnings.append(
            f"resolution: frames of {width}x{height} show pictures without text and logo; those of 128x96 have both"
        )
    for number, layout in zip(storyboard.drawn_cards, layouts, strict=True):
        where = f"step {number}" if number else "the title card"
        if layout.truncated:
            warnings.append(f"{where}: the text is too long and was truncated")
        expected = (
            len(storyboard.pictures_of(storyboard.steps[number - 1])) if number else len(layout.placements)
        )
        if expected > len(layout.placements):
            warnings.append(f"{where}: only {len(layout.placements)} of {expected} pictures fit")
    for name, error in asset_errors.items():
        asset = storyboard.assets[name]
        effect = "shown as a gap" if asset.is_image and not asset.is_logo else "omitted"
        warnings.append(f"{error.message}; {effect} ({error.code})")
    unseen = _unseen_assets(storyboard, layouts)
    for name, entry in inspected.items():
        if name in asset_errors or name in played or name in unseen:
            continue
        if entry.picture is not None and entry.picture.frames > 1:
            warnings.append(f"asset {name}: only one of {entry.picture.frames} frames is shown")
    warnings += [f"asset {name}: {note}" for name, notes in asset_notes.items() for note in notes]
    warnings += _playing_warnings(storyboard, inspected, layouts, played)
    for format_name in storyboard.animations or (storyboard.image_format,):
        if storyboard.sound is not None and format_name not in VIDEO_FORMATS:
            warnings.append(f"audio: {format_name} has no sound; the track is omitted")
        if storyboard.fades and format_name not in VIDEO_FORMATS:
            warnings.append(f"transition: {format_name} has no fades; frames change at once")
    warnings += _brand_warnings(storyboard, layouts, typesetter)
    if typesetter.undrawn:
        warnings.append(f"{len(typesetter.undrawn)} characters are not in any font; U+FFFD replaces them")
    warnings += [f"{PurePath(path).name} is not a usable font" for path in typesetter.unusable_fonts]
    return tuple(warnings)


def without_still_notes(
    asset_notes: Mapping[str, tuple[str, ...]], played: Set[str]
) -> dict[str, tuple[str, ...]]:
    """Returns the notes without those that assets which have ``played`` are shown by one frame."""
    kept = {
        name: tuple(note for note in notes if note != CLIP_NOTE or name not in played)
        for name, notes in asset_notes.items()
    }
    return {name: notes for name, notes in kept.items() if notes}


def _playing_warnings(
    storyboard: Storyboard,
    inspected: Mapping[str, InspectedAsset],
    layouts: tuple[FrameLayout, ...],
    played: Set[str],
) -> Iterator[str]:
    """Yields a warning for each asset that should play or be heard, and does or is not."""
    silent = [
        name for name in storyboard.animations or (storyboard.image_format,) if name not in VIDEO_FORMATS
    ]
    steps, unseen = step_layouts(storyboard, layouts), _unseen_assets(storyboard, layouts)
    shown = {placement.asset.ref.id for layout in steps for placement in layout.placements}
    for name, asset in storyboard.assets.items():
        motion = inspected[name].motion
        if asset.playback is None or inspected[name].error is not None or name in unseen:
            continue
        if motion is None:
            yield f"asset {name}: nothing in it plays; it is shown as a picture"
        elif storyboard.animations and name in shown and name not in played:
            yield f"asset {name}: too many large assets play in its step; one frame of it is shown"
        elif not asset.playback.muted and motion.sound_delay_us is not None:
            for format_name in silent:
                yield f"asset {name}: {format_name} has no sound; that of the video is omitted"


def _unseen_assets(storyboard: Storyboard, layouts: tuple[FrameLayout, ...]) -> Set[str]:
    """Returns the ids of assets that a range of steps does not show: they are read for the time of other steps."""
    if storyboard.selection.steps is None:
        return frozenset()
    seen = {placement.asset.ref.id for layout in layouts for placement in layout.placements}
    return storyboard.assets.keys() - seen - {asset.ref.id for asset in storyboard.thumbnailed}


def _brand_warnings(
    storyboard: Storyboard, layouts: tuple[FrameLayout, ...], typesetter: Typesetter
) -> Iterator[str]:
    brand = storyboard.brand
    yield from brand.notes
    if not typesetter.has_family:
        allowed = ", ".join(typesetter.families)
        yield f"brand.font: found {brand.font!r}, allowed {allowed} (PREVIEW_FONTS); texts have the default font"
    if brand.footer and storyboard.size.short < SMALLEST_FOOTED:
        yield f"brand.footer: a frame with a side below {SMALLEST_FOOTED} pixels has no footer"
    elif any(layout.footer is not None and layout.footer.block.truncated for layout in layouts):
        yield "brand.footer: the text is too long and was truncated"
