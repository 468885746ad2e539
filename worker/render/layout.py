"""What goes where on each frame of a storyboard, decided before a pixel is drawn or decoded."""

from __future__ import annotations

from collections.abc import Mapping, Set

from previewops.worker.render.frames import FrameLayout, mirror
from previewops.worker.render.geometry import Size
from previewops.worker.render.metrics import Metrics
from previewops.worker.render.placing import Placer
from previewops.worker.render.steps import StepFrames
from previewops.worker.render.storyboard import Storyboard
from previewops.worker.render.titlecard import TitleCard, hero_of
from previewops.worker.render.typesetting import Typesetter


def lay_out_frames(
    board: Storyboard, shapes: Mapping[str, Size], setter: Typesetter, lost: Set[str] = frozenset()
) -> tuple[FrameLayout, ...]:
    """The title card and the steps, in order.

    ``shapes`` has the upright size of every picture that could be opened, by asset id, ``lost`` the ids of those
    that could not. Where the story is told from right to left, so is each frame.
    """
    steps = StepFrames(board, _placer(board, shapes, setter), setter)
    frames = (steps.layout(step) for step in board.steps)
    return (lay_out_title_card(board, shapes, setter, lost), *(_turned(board, frame) for frame in frames))


def lay_out_title_card(
    board: Storyboard, shapes: Mapping[str, Size], setter: Typesetter, lost: Set[str]
) -> FrameLayout:
    """The title card alone, with a picture that is not ``lost``."""
    card = TitleCard(board, _placer(board, shapes, setter), setter, hero_of(board, lost))
    return _turned(board, card.layout())


def _placer(board: Storyboard, shapes: Mapping[str, Size], setter: Typesetter) -> Placer:
    return Placer(shapes, setter, Metrics(board.size), labels=board.captions)


def _turned(board: Storyboard, frame: FrameLayout) -> FrameLayout:
    return mirror(frame, board.size.width) if board.right_to_left else frame
