"""Lays out all frames of a storyboard, before any picture is decoded or drawn."""

from __future__ import annotations

from collections.abc import Mapping, Set

from previewops.worker.render.layout.brand_boxes import BrandBoxes
from previewops.worker.render.layout.frames import FrameLayout, mirror_frame
from previewops.worker.render.layout.geometry import Size
from previewops.worker.render.layout.picture_grid import PicturePlacer
from previewops.worker.render.layout.steps import StepFrames
from previewops.worker.render.layout.tiny_frames import TinyFrames
from previewops.worker.render.layout.titlecard import TitleCard, choose_hero
from previewops.worker.render.layout.type_scale import is_tiny
from previewops.worker.render.storyboard import Storyboard
from previewops.worker.render.text.typesetting import Typesetter


def lay_out_frames(
    storyboard: Storyboard,
    picture_sizes: Mapping[str, Size],
    typesetter: Typesetter,
    missing: Set[str] = frozenset(),
) -> tuple[FrameLayout, ...]:
    """Lays out the cards to draw, in order.

    ``picture_sizes`` has the upright size of each available picture by asset id, ``missing`` the ids of the
    others. The frames of a right-to-left storyboard are mirrored.
    """
    boxes = BrandBoxes.of(storyboard, picture_sizes, typesetter)
    placer = _placer(storyboard, picture_sizes, typesetter, boxes)
    tiny = is_tiny(storyboard.size)
    lay_out = TinyFrames(storyboard, placer).step if tiny else StepFrames(storyboard, placer, boxes).layout
    return tuple(
        _directed(storyboard, lay_out(storyboard.steps[number - 1]))
        if number
        else lay_out_title_card(storyboard, picture_sizes, typesetter, missing)
        for number in storyboard.drawn_cards
    )


def lay_out_title_card(
    storyboard: Storyboard, picture_sizes: Mapping[str, Size], typesetter: Typesetter, missing: Set[str]
) -> FrameLayout:
    """Lays out the title card, with a picture that is not ``missing``."""
    boxes = BrandBoxes.of(storyboard, picture_sizes, typesetter)
    placer = _placer(storyboard, picture_sizes, typesetter, boxes)
    hero = choose_hero(storyboard, missing)
    if is_tiny(storyboard.size):
        card = TinyFrames(storyboard, placer).title_card(hero)
    else:
        card = TitleCard(storyboard, placer, hero, boxes).layout()
    return _directed(storyboard, card)


def _placer(
    storyboard: Storyboard, picture_sizes: Mapping[str, Size], typesetter: Typesetter, boxes: BrandBoxes
) -> PicturePlacer:
    return PicturePlacer(picture_sizes, typesetter, boxes.metrics(storyboard), labels=storyboard.captions)


def _directed(storyboard: Storyboard, frame: FrameLayout) -> FrameLayout:
    return mirror_frame(frame, storyboard.size.width) if storyboard.right_to_left else frame
