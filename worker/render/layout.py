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
    placer = Placer(shapes, setter, Metrics(board.size), labels=board.captions)
    steps = StepFrames(board, placer, setter)
    card = TitleCard(board, placer, setter, hero_of(board, lost)).layout()
    frames = (card, *(steps.layout(step) for step in board.steps))
    if not board.right_to_left:
        return frames
    return tuple(mirror(frame, board.size.width) for frame in frames)
