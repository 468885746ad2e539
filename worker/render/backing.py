"""Chooses the ground below a transparent picture: black art on a dark theme would not be seen."""

from __future__ import annotations

from typing import Any

from PIL import Image

from previewops.worker.render.theme import Colour, contrast

_SAMPLE = (48, 48)
_LEAST_CONTRAST = 1.5  # below it, a shape is hardly seen
_HIDDEN_SHARE = 0.6  # of what a picture shows; if more is hidden, the ground is changed


def choose_ground(picture: Image.Image, ground: Colour, other: Colour) -> Colour:
    """Returns ``ground``, or ``other`` if ``picture`` (RGBA) would hardly be seen on the first but on the second."""
    if picture.mode != "RGBA":
        return ground
    small = picture.resize(_SAMPLE, Image.Resampling.BOX, reducing_gap=2.0)
    colours = small.getcolors(_SAMPLE[0] * _SAMPLE[1]) or []
    hidden = _hidden_share(colours, ground)
    return other if hidden > _HIDDEN_SHARE and _hidden_share(colours, other) < hidden / 2 else ground


def _hidden_share(colours: list[tuple[int, Any]], ground: Colour) -> float:
    """The share of what is shown, by opacity, that has little contrast to ``ground``."""
    shown = hidden = 0.0
    for count, (red, green, blue, alpha) in colours:
        shown += count * alpha
        if contrast((red, green, blue), ground) < _LEAST_CONTRAST:
            hidden += count * alpha
    return hidden / shown if shown else 0.0
