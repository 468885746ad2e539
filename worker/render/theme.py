"""Colours: two palettes, and palettes derived from a background colour with sufficient contrast."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import lru_cache

Colour = tuple[int, int, int]

BODY_CONTRAST = 4.5  # WCAG 2.2, success criterion 1.4.3
SHAPE_CONTRAST = 3.0  # WCAG 2.2, success criterion 1.4.11
BLACK: Colour = (0, 0, 0)
WHITE: Colour = (255, 255, 255)


@dataclass(frozen=True, slots=True)
class Theme:
    """The colours of one storyboard, all opaque RGB."""

    background: Colour
    surface: Colour  # panels under pictures
    line: Colour  # hairlines and remaining steps of the progress bar
    ink: Colour  # titles
    muted: Colour  # captions and labels
    accent: Colour  # fill of the step badge and of the bar above a title
    accent_ink: Colour  # accent of text and of the current step of the progress bar
    on_accent: Colour  # text on accent
    tint: Colour  # past steps of the progress bar, decorations
    backing: Colour  # panels under transparent pictures that would not be seen on ``surface``


LIGHT = Theme(
    background=(247, 247, 243),
    surface=(236, 236, 230),
    line=(222, 222, 215),
    ink=(23, 25, 31),
    muted=(84, 88, 99),
    accent=(31, 84, 214),
    accent_ink=(31, 84, 214),
    on_accent=(255, 255, 255),
    tint=(165, 186, 238),
    backing=(70, 75, 88),
)
DARK = Theme(
    background=(16, 18, 24),
    surface=(27, 30, 39),
    line=(47, 52, 64),
    ink=(243, 244, 247),
    muted=(170, 176, 190),
    accent=(122, 162, 255),
    accent_ink=(122, 162, 255),
    on_accent=(14, 18, 32),
    tint=(62, 84, 136),
    backing=(226, 228, 233),
)


def mix(one: Colour, other: Colour, share: float) -> Colour:
    """Mixes ``share`` (0..1) of ``other`` into ``one``, as sRGB values."""
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(one, other, strict=True))
    return (red, green, blue)


def luminance(colour: Colour) -> float:
    """Returns the relative luminance 0..1 by WCAG 2.2."""

    def linear(value: int) -> float:
        part = value / 255
        return part / 12.92 if part <= 0.04045 else math.pow((part + 0.055) / 1.055, 2.4)

    red, green, blue = (linear(value) for value in colour)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: Colour, other: Colour) -> float:
    """Returns the contrast ratio 1..21 by WCAG 2.2."""
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def parse_hex(text: str) -> Colour:
    """Parses ``#RRGGBB``."""
    return (int(text[1:3], 16), int(text[3:5], 16), int(text[5:7], 16))


def format_hex(colour: Colour) -> str:
    """Formats a colour as ``#rrggbb``."""
    return "#{:02x}{:02x}{:02x}".format(*colour)


@lru_cache(maxsize=64)
def choose_theme(theme: str | None, background: str | None) -> Theme:
    """Returns the palette for the options ``theme`` (light, dark, None) and ``background`` (the same, or #RRGGBB).

    A background colour overrides the theme; the other colours are derived from it with sufficient contrast.
    """
    if background is not None and background.startswith("#"):
        return _derive(parse_hex(background))
    return DARK if (theme or background) == "dark" else LIGHT


def _derive(background: Colour) -> Theme:
    dark = contrast(background, WHITE) >= contrast(background, BLACK)
    base, ink = (DARK, WHITE) if dark else (LIGHT, BLACK)
    accent = mix_until(base.accent, ink, background, BODY_CONTRAST)
    return Theme(
        background=background,
        surface=mix(background, BLACK, 0.2) if dark else mix(background, WHITE, 0.6),
        line=mix(background, ink, 0.16),
        ink=ink,
        muted=mix_until(mix(ink, background, 0.35), ink, background, BODY_CONTRAST),
        accent=accent,
        accent_ink=accent,
        on_accent=text_on(accent),
        tint=mix(background, accent, 0.45),
        backing=base.backing,
    )


def text_on(fill: Colour) -> Colour:
    """Returns white or black, whichever is easier to read on ``fill``: the contrast is at least 4.58."""
    return max((WHITE, BLACK), key=lambda text: contrast(text, fill))


def with_accent(theme: Theme, accent: Colour) -> Theme:
    """Returns ``theme`` with another accent. Its ink is darker or lighter where text would not be readable."""
    ink = mix_until(accent, theme.ink, theme.background, BODY_CONTRAST)
    return replace(
        theme,
        accent=accent,
        accent_ink=ink,
        on_accent=text_on(accent),
        tint=mix(theme.background, ink, 0.45),
    )


def mix_until(start: Colour, towards: Colour, against: Colour, min_contrast: float) -> Colour:
    """Mixes ``start`` with ``towards`` until it has the contrast ``min_contrast``; at most to ``towards`` itself."""
    for step in range(11):
        colour = mix(start, towards, step / 10)
        if contrast(colour, against) >= min_contrast:
            return colour
    return towards
