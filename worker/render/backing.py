"""Chooses the ground below a transparent picture: black art on a dark theme would not be seen."""

from __future__ import annotations

from typing import Any

from PIL import Image

from previewops.worker.render.theme import Colour, contrast

_SAMPLE = (48, 48)
_LEAST_CONTRAST = 1.5  # below it, a shape is hardly seen
_HIDDEN_SHARE = 0.6  # of what a picture shows; if more is hidden, the ground is changed


def choose_ground(
    picture: Image.Image,
    ground: Colour,
    other: Colour,
    *,
    least_contrast: float = _LEAST_CONTRAST,
    hidden_share: float = _HIDDEN_SHARE,
) -> Colour:
    """Returns ``ground``, or ``other`` if ``picture`` (RGBA) would hardly be seen on the first but on the second.

    It is hardly seen if more than ``hidden_share`` of it has less than ``least_contrast`` to the ground.
    """
    if picture.mode != "RGBA":
        return ground
    small = picture.resize(_SAMPLE, Image.Resampling.BOX, reducing_gap=2.0)
    colours = small.getcolors(_SAMPLE[0] * _SAMPLE[1]) or []
    hidden = _hidden_share(colours, ground, least_contrast)
    if hidden > hidden_share and _hidden_share(colours, other, least_contrast) < hidden / 2:
        return other
    return ground


def _hidden_share(colours: list[tuple[int, Any]], ground: Colour, least_contrast: float) -> float:
    """The share of what is shown, by opacity, that has little contrast to ``ground``."""
    shown = hidden = 0.0
    for count, (red, green, blue, alpha) in colours:
        shown += count * alpha
        if contrast((red, green, blue), ground) < least_contrast:
            hidden += count * alpha
    return hidden / shown if shown else 0.0
