"""Terminal capabilities, derived from environment variables."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from previewops.errors import UsageError

_COLOURFUL = ("256", "direct", "kitty", "alacritty", "ghostty", "foot", "wezterm")
_THEMES = {"dark": "previewops-dark", "light": "previewops-light"}
_LIGHT_BACKGROUNDS = ("7", "15")
"""White and bright white, as COLORFGBG names them."""


def select_theme(name: str | None, environ: Mapping[str, str]) -> str:
    """The theme's name: the requested one, or the best one for the terminal's colours and background.

    Few terminals describe their background (COLORFGBG); the others are taken for dark ones.
    """
    light = environ.get("COLORFGBG", "").rpartition(";")[2] in _LIGHT_BACKGROUNDS
    side = "light" if light else "dark"
    if name == "16" or (name is None and few_colours(environ)):
        return f"previewops-16-{side}"
    return _THEMES[name or side]


def few_colours(environ: Mapping[str, str]) -> bool:
    """Whether the terminal supports 16 colours at most."""
    if environ.get("COLORTERM", "").lower() in ("truecolor", "24bit"):
        return False
    term = environ.get("TERM", "").lower()
    return not any(sign in term for sign in _COLOURFUL)


class ImageMode(StrEnum):
    """How images are drawn."""

    OFF = "off"
    BLOCKS = "blocks"  # two pixels a cell, in any terminal
    KITTY = "kitty"  # Kitty's graphics protocol with Unicode placeholders
    SIXEL = "sixel"


AUTO = "auto"
IMAGES_VARIABLE = "PREVIEW_IMAGES"

_KITTY = ("kitty", "ghostty")
_SIXEL_TERMS = ("foot", "mlterm", "contour", "sixel", "vt340")
_SIXEL_PROGRAMS = ("wezterm", "iterm.app", "vscode", "mintty")
_FIRST_KONSOLE = 220400
"""Konsole supports Sixel from 22.04 on."""


def detect_image_mode(environ: Mapping[str, str]) -> ImageMode:
    """How images are drawn: PREVIEW_IMAGES, or the best mode that the environment indicates.

    Unknown terminals get half blocks. So do multiplexers: graphics that they pass through appear in the wrong place.
    ``graphics.prepare_graphics`` asks the terminal whether Sixel is enabled, as several have it switched off.

    Raises:
        UsageError: PREVIEW_IMAGES is not a valid mode.
    """
    if is_image_mode_forced(environ):
        try:
            return ImageMode(environ[IMAGES_VARIABLE].lower())
        except ValueError:
            allowed = ", ".join((AUTO, *ImageMode))
            message = f"{IMAGES_VARIABLE}: found {environ[IMAGES_VARIABLE]!r}, allowed {allowed}"
            raise UsageError(message) from None
    if _multiplexed(environ) or environ.get("NO_COLOR") or environ.get("TERM", "") in ("", "dumb", "linux"):
        return ImageMode.BLOCKS
    term, program = environ["TERM"].lower(), environ.get("TERM_PROGRAM", "").lower()
    if environ.get("KITTY_WINDOW_ID") or any(name in term or name == program for name in _KITTY):
        return ImageMode.KITTY
    if any(term.startswith(name) or f"-{name}" in term for name in _SIXEL_TERMS):
        return ImageMode.SIXEL
    if program in _SIXEL_PROGRAMS or environ.get("WEZTERM_PANE") or environ.get("WT_SESSION"):
        return ImageMode.SIXEL
    konsole = environ.get("KONSOLE_VERSION", "")
    return ImageMode.SIXEL if konsole.isdecimal() and int(konsole) >= _FIRST_KONSOLE else ImageMode.BLOCKS


def is_image_mode_forced(environ: Mapping[str, str]) -> bool:
    """Whether PREVIEW_IMAGES sets the mode, rather than the environment."""
    return environ.get(IMAGES_VARIABLE, "").lower() not in ("", AUTO)


def _multiplexed(environ: Mapping[str, str]) -> bool:
    inside = any(environ.get(name) for name in ("TMUX", "STY", "ZELLIJ"))
    return inside or environ.get("TERM", "").lower().startswith(("tmux", "screen"))
