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
    setter: Typesetter,
    lost: Mapping[str, PermanentJobError],
) -> tuple[str, ...]:
    """A sentence for each text cut, picture left out, asset lost, character and font that is not drawn."""
    found = []
    for index, layout in enumerate(layouts):
        where = f"step {index}" if index else "the title card"
        if layout.truncated:
            found.append(f"{where}: the text is longer than there is room for, and was cut")
        wanted = len(board.pictures_of(board.steps[index - 1])) if index else len(layout.placements)
        if wanted > len(layout.placements):
            found.append(
                f"{where}: {len(layout.placements)} of its {wanted} pictures fit, the rest is left out"
            )
    for name, error in lost.items():
        instead = "shown as a gap" if board.assets[name].is_image else "left out"
        found.append(f"{error.message}; {instead} ({error.code})")
    for name, asset in inspected.items():
        if asset.picture is not None and asset.picture.frames > 1 and name not in lost:
            found.append(f"asset {name}: of its {asset.picture.frames} frames one is shown")
    shown_as = board.animation or board.image_format
    if board.sound is not None and board.animation_sound is None:
        found.append(f"audio: {shown_as} carries no sound; the track is listed only")
    if board.fades and board.animation not in VIDEO_FORMATS:
        found.append(f"transition: {shown_as} does not fade; steps follow each other at once")
    if setter.undrawn:
        found.append(f"{len(setter.undrawn)} characters are in no font here and are shown as U+FFFD")
    found += [f"{path} is no font that can be used" for path in setter.unusable_fonts]
    return tuple(found)
