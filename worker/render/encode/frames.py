"""The frames of an animation, as they are drawn and as the writers of animated pictures take them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from PIL import Image

from previewops.worker.render.layout.geometry import Box


@dataclass(frozen=True, slots=True)
class RenderedFrame:
    """A rendered frame: its pixels, its duration, and its still file, if it has one.

    A card that plays has several: ``card_ms`` of the first one is the duration of the card (None: that of the frame),
    and ``changed`` of the others is the box in which they differ from the frame before.
    """

    image: Image.Image
    duration_ms: int
    still: bytes | None = None
    starts_card: bool = True
    card_ms: int | None = None
    changed: Box | None = None


class Piece(NamedTuple):
    """A still file of the size of ``box``, which it replaces on the canvas, and the duration of the frame."""

    still: bytes
    box: Box
    duration_ms: int
