"""What a bundle does not show of its payload, in sentences."""

from __future__ import annotations

from collections.abc import Mapping

from previewops.errors import PermanentJobError
from previewops.worker.render.layout.frames import FrameLayout
from previewops.worker.render.picture_cache import InspectedAsset
from previewops.worker.render.storyboard import VIDEO_FORMATS, Storyboard
from previewops.worker.render.text.typesetting import Typesetter


def collect_warnings(
    board: Storyboard,
    inspected: Mapping[str, InspectedAsset],
    layouts: tuple[FrameLayout, ...],
    typesetter: Typesetter,
    asset_errors: Mapping[str, PermanentJobError],
) -> tuple[str, ...]:
    """A sentence for each text cut, picture left out, asset lost, character and font that is not drawn."""
    warnings = []
    for index, layout in enumerate(layouts):
        where = f"step {index}" if index else "the title card"
        if layout.truncated:
            warnings.append(f"{where}: the text is longer than there is room for, and was cut")
        expected = len(board.pictures_of(board.steps[index - 1])) if index else len(layout.placements)
        if expected > len(layout.placements):
            warnings.append(
                f"{where}: {len(layout.placements)} of its {expected} pictures fit, the rest is left out"
            )
    for name, error in asset_errors.items():
        effect = "shown as a gap" if board.assets[name].is_image else "left out"
        warnings.append(f"{error.message}; {effect} ({error.code})")
    for name, asset in inspected.items():
        if asset.picture is not None and asset.picture.frames > 1 and name not in asset_errors:
            warnings.append(f"asset {name}: of its {asset.picture.frames} frames one is shown")
    format_name = board.animation or board.image_format
    if board.sound is not None and board.animation_sound is None:
        warnings.append(f"audio: {format_name} carries no sound; the track is listed only")
    if board.fades and board.animation not in VIDEO_FORMATS:
        warnings.append(f"transition: {format_name} does not fade; steps follow each other at once")
    if typesetter.undrawn:
        warnings.append(f"{len(typesetter.undrawn)} characters are in no font here and are shown as U+FFFD")
    warnings += [f"{path} is no font that can be used" for path in typesetter.unusable_fonts]
    return tuple(warnings)
