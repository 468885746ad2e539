"""Themes, and the styles of the view model's tones in each."""

from __future__ import annotations

from collections.abc import Mapping

from rich.style import Style
from textual.app import App
from textual.color import Color
from textual.theme import BUILTIN_THEMES, Theme

from previewops.tui.viewmodel.chart_drawing import EIGHTHS
from previewops.tui.viewmodel.spans import Span, Tone

DARK = Theme(
    name="previewops-dark",
    dark=True,
    primary="#6cb6ff",
    secondary="#8ddb8c",
    accent="#dcbdfb",
    foreground="#d6dde6",
    background="#0f1318",
    surface="#141a21",
    panel="#1d252f",
    success="#7ee08a",
    warning="#f0c14b",
    error="#ff7b72",
    variables={
        "dim": "#8c97a5",
        "faint": "#3d4856",
        "high": "#ffa657",
        "normal": "#6cb6ff",
        "low": "#8f9fd6",
        "done": "#4a9d5b",
        "died": "#e0605a",
        "fast": "#4f94d8",
        "slow": "#34689c",
        "slowest": "#264a6d",
        "border": "#2f3a47",
        "thumb": "#2f3a47",
        "block-cursor-background": "#27405c",
        "block-cursor-foreground": "#ffffff",
        "block-cursor-text-style": "none",
        "focus-text-style": "bold",
        "footer-key-foreground": "#6cb6ff",
    },
)

LIGHT = Theme(
    name="previewops-light",
    dark=False,
    primary="#0b5cad",
    secondary="#1a7f37",
    accent="#6639ba",
    foreground="#1f2328",
    background="#fbfbf9",
    surface="#f4f4f0",
    panel="#e8e8e2",
    success="#1a7f37",
    warning="#8a5a00",
    error="#c0232c",
    variables={
        "dim": "#5d656e",
        "faint": "#c3c6c2",
        "high": "#b54708",
        "normal": "#0b5cad",
        "low": "#5b5fa8",
        "done": "#4aa866",
        "died": "#d1424a",
        "fast": "#3d86c6",
        "slow": "#7db4e4",
        "slowest": "#bcd7ef",
        "border": "#cfd1cc",
        "thumb": "#cfd1cc",
        "block-cursor-background": "#cfe3f7",
        "block-cursor-foreground": "#0a0c0e",
        "block-cursor-text-style": "none",
        "focus-text-style": "bold",
        "footer-key-foreground": "#0b5cad",
    },
)

_ANSI = {
    "dim": "ansi_default",
    "faint": "ansi_default",
    "normal": "ansi_default",
    "low": "ansi_default",
    "done": "ansi_green",
    "died": "ansi_red",
    "fast": "ansi_cyan",
    "slow": "ansi_cyan",
    "slowest": "ansi_cyan",
    "border": "ansi_default",
    "thumb": "ansi_cyan",
    "block-cursor-background": "ansi_default",
    "block-cursor-foreground": "ansi_default",
    "block-cursor-text-style": "reverse",
    "focus-text-style": "bold reverse",
    "scrollbar": "ansi_cyan",
    "scrollbar-background": "ansi_default",
    "input-cursor-background": "ansi_default",
    "input-cursor-foreground": "ansi_default",
    "input-cursor-text-style": "reverse",
    "input-selection-background": "ansi_cyan",
    "input-selection-foreground": "ansi_default",
}


def ansi_theme(dark: bool) -> Theme:
    """A theme of the terminal's own colours, for terminals with no more than 16 and for NO_COLOR.

    It uses the default foreground and background, bold, reverse and the six hues. Bright black and black are
    invisible in some palettes, blue in most dark ones and yellow in most light ones.
    """
    warning, hue = ("ansi_yellow", "ansi_cyan") if dark else ("ansi_magenta", "ansi_blue")
    return Theme(
        name=f"previewops-16-{'dark' if dark else 'light'}",
        dark=dark,
        ansi=True,
        primary=hue,
        secondary="ansi_green",
        accent="ansi_magenta",
        foreground="ansi_default",
        background="ansi_default",
        surface="ansi_default",
        panel="ansi_default",
        boost="ansi_default",
        success="ansi_green",
        warning=warning,
        error="ansi_red",
        variables={
            **BUILTIN_THEMES["ansi-dark" if dark else "ansi-light"].variables,
            **_ANSI,
            "high": warning,
            "footer-key-foreground": hue,
        },
    )


NO_COLOR_THEME = ansi_theme(True).name


def themes() -> tuple[Theme, ...]:
    """All themes, dark ones first."""
    return (DARK, LIGHT, ansi_theme(True), ansi_theme(False))


_VARIABLE = {
    Tone.TEXT: "foreground",
    Tone.STRONG: "foreground",
    Tone.DIM: "dim",
    Tone.FAINT: "faint",
    Tone.GOOD: "success",
    Tone.WARN: "warning",
    Tone.BAD: "error",
    Tone.INFO: "primary",
    Tone.HIGH: "high",
    Tone.NORMAL: "normal",
    Tone.LOW: "low",
    Tone.DONE: "done",
    Tone.DIED: "died",
    Tone.FAST: "fast",
    Tone.SLOW: "slow",
    Tone.SLOWEST: "slowest",
    Tone.BADGE: "dim",
    Tone.BADGE_GOOD: "success",
    Tone.BADGE_WARN: "warning",
    Tone.BADGE_BAD: "error",
    Tone.BADGE_INFO: "primary",
}
_BOLD = {Tone.STRONG, Tone.BADGE, Tone.BADGE_GOOD, Tone.BADGE_WARN, Tone.BADGE_BAD, Tone.BADGE_INFO, Tone.BAD}


_TEXTURES: Mapping[Tone, str] = {Tone.DIED: "▒", Tone.SLOW: "▒", Tone.SLOWEST: "░"}
"""Fills of a chart where colours cannot tell its series apart, in place of full blocks."""


class Palette:
    """Rich styles of one theme, by tone and click action. ``textured``: fills of charts differ by glyph."""

    def __init__(self, variables: Mapping[str, str]) -> None:
        background = Color.parse(variables.get("background", "#000000"))
        self.textured = background.ansi is not None
        self._tones = {
            tone: _style(tone, Color.parse(variables.get(name, "ansi_default")), background)
            for tone, name in _VARIABLE.items()
        }

        self._spans: dict[tuple[Tone, str, Tone | None, Tone | None], Style] = {}

    def text(self, span: Span) -> str:
        """The span's text, with the fill of its tone."""
        upper = self._upper_series(span)
        if upper is not None:
            return _TEXTURES[upper] * len(span.text)
        texture = _TEXTURES.get(span.tone) if self.textured else None
        if texture is None:
            return span.text
        # Blanks may be part of the span: they stay blank.
        filled = "█■" if span.text.strip(EIGHTHS) else EIGHTHS.strip()
        return "".join(texture if glyph in filled else glyph for glyph in span.text)

    def _upper_series(self, span: Span) -> Tone | None:
        """The upper one of two series in a cell, which has a texture: one failure among thousands is visible."""
        mixed = self.textured and span.background in _TEXTURES and not span.text.strip(EIGHTHS)
        return span.background if mixed else None

    def style(self, span: Span) -> Style:
        """The style of a span, including its click action."""
        key = (span.tone, span.action, span.background, self._upper_series(span))
        style = self._spans.get(key)
        if style is None:
            style = self._tones[span.tone]
            upper = self._upper_series(span)
            if upper is not None:
                style = self._tones[upper]
            if span.background is not None and not self.textured:
                style += Style(bgcolor=self._tones[span.background].color)
            if span.action:
                style += Style.from_meta({"@click": span.action})
            self._spans[key] = style
        return style


def _style(tone: Tone, colour: Color, background: Color) -> Style:
    bold = tone in _BOLD
    if tone.value.startswith("badge"):
        if colour.ansi is not None or background.ansi is not None:
            return Style(color=colour.rich_color, reverse=True, bold=bold)
        ink = Color.parse("#0b0d10") if colour.brightness > 0.5 else Color.parse("#ffffff")
        return Style(color=ink.rich_color, bgcolor=colour.rich_color, bold=bold)
    return Style(color=colour.rich_color, bold=bold)


_BY_THEME: dict[str, Palette] = {}


def get_palette(app: App[object]) -> Palette:
    """The palette of the current theme, cached by theme."""
    style = _BY_THEME.get(app.theme)
    if style is None:
        style = _BY_THEME[app.theme] = Palette(app.theme_variables)
    return style
