"""Themes: what the styles of each may use."""

from __future__ import annotations

import pytest

from previewops.tui.terminal.capabilities import select_theme
from previewops.tui.terminal.palette import Palette, ansi_theme, themes
from previewops.tui.viewmodel.spans import Span, Tone

HUES = range(1, 7)
"""Red, green, yellow, blue, magenta and cyan, in the terminal's own shades."""


def palette(dark: bool) -> Palette:
    theme = ansi_theme(dark)
    variables = {
        **theme.to_color_system().generate(),
        **theme.variables,
        "foreground": theme.foreground or "",
    }
    return Palette({**variables, "background": "ansi_default"})


@pytest.mark.parametrize("dark", [True, False])
@pytest.mark.parametrize("tone", Tone)
def test_sixteen_colours_use_default_bold_reverse_and_six_hues(tone: Tone, dark: bool) -> None:
    style = palette(dark).style(Span("x", tone, background=Tone.DIED))
    assert style.bgcolor is None or style.bgcolor.is_default
    assert style.color is not None
    assert style.color.is_default or style.color.number in HUES, "no black, white or bright colour"
    assert (style.dim, style.underline, style.italic) == (None, None, None)
    if tone.value.startswith("badge"):
        assert style.reverse


@pytest.mark.parametrize("dark", [True, False])
def test_hues_that_cannot_be_read_on_the_background_are_not_used(dark: bool) -> None:
    styles = [palette(dark).style(Span("x", tone)) for tone in Tone]
    used = {style.color.number for style in styles if style.color is not None}
    assert (4 if dark else 3) not in used, "blue on black, yellow on white"


@pytest.mark.parametrize("theme", [theme for theme in themes() if theme.ansi], ids=lambda theme: theme.name)
def test_no_variable_of_a_theme_of_16_colours_is_bright_or_black(theme: object) -> None:
    ours = {name: value for name, value in theme.variables.items() if name in _DRAWN}  # type: ignore[attr-defined]
    assert not {name: value for name, value in ours.items() if "bright" in value or "black" in value}


_DRAWN = ("dim", "faint", "border", "normal", "low", "high", "done", "died", "fast", "slow", "slowest",
          "block-cursor-background", "block-cursor-foreground", "footer-key-foreground",
          "input-cursor-background", "input-cursor-foreground", "scrollbar", "scrollbar-background")  # fmt: skip


def test_series_of_a_chart_differ_by_their_fill_without_colours() -> None:
    fills = {palette(True).text(Span("█", tone)) for tone in (Tone.FAST, Tone.SLOW, Tone.SLOWEST)}
    assert len(fills) == 3
    assert palette(True).text(Span("█", Tone.DONE)) != palette(True).text(Span("█", Tone.DIED))
    assert palette(True).text(Span("■ ", Tone.SLOW)) == "▒ ", "the legend shows the same fill"
    assert palette(True).text(Span(" ▂█  ", Tone.DIED)) == " ▒▒  ", "blanks beside a column stay blank"


@pytest.mark.parametrize(
    ("name", "environ", "theme"),
    [
        (None, {"TERM": "xterm-256color"}, "previewops-dark"),
        (None, {"TERM": "xterm-256color", "COLORFGBG": "15;0"}, "previewops-dark"),
        (None, {"TERM": "xterm-256color", "COLORFGBG": "0;15"}, "previewops-light"),
        (None, {"TERM": "screen"}, "previewops-16-dark"),
        (None, {"TERM": "linux", "COLORFGBG": "0;default;7"}, "previewops-16-light"),
        ("16", {"TERM": "xterm-256color"}, "previewops-16-dark"),
        ("16", {"COLORFGBG": "0;15"}, "previewops-16-light"),
        ("dark", {"COLORFGBG": "0;15"}, "previewops-dark"),
        ("light", {}, "previewops-light"),
    ],
)
def test_theme_per_terminal(name: str | None, environ: dict[str, str], theme: str) -> None:
    assert select_theme(name, environ) == theme
