"""The screen without colours, and in the 16 colours of a terminal."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from rich.segment import Segment
from textual.pilot import Pilot

from previewops.tui.app import OperatorApp
from previewops.tui.screens.dialogs.choose import ChoiceDialog, ChoiceOption
from previewops.tui.screens.dialogs.prompt import PromptDialog
from previewops.tui.widgets.grid import Grid
from tests.tui.screen_support import make_app, settled, until

SIZE = (80, 24)
HUES = range(1, 7)


def segments(app: OperatorApp) -> Iterator[Segment]:
    """All segments as they are sent to the terminal: line filters are applied."""
    for strip in app.screen._compositor.render_strips():
        yield from strip


async def open_jobs(pilot: Pilot[int], app: OperatorApp) -> Grid:
    await until(pilot, lambda: app.view.health is not None)
    await pilot.press("2")
    await until(pilot, lambda: app.screen.query(Grid) and app.screen.query_one(Grid).keys)
    await settled(pilot, app)
    return app.screen.query_one(Grid)


@pytest.mark.parametrize("theme", ["previewops-dark", "previewops-light", "previewops-16-dark"])
async def test_no_color_sends_no_colour_and_tells_the_selection_by_reverse(
    theme: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    app = make_app(theme=theme)
    async with app.run_test(size=SIZE) as pilot:
        await open_jobs(pilot, app)
        styles = [segment.style for segment in segments(app) if segment.style is not None]
        assert styles
        assert all(style.color is None or style.color.is_default for style in styles)
        assert all(style.bgcolor is None or style.bgcolor.is_default for style in styles)
        reversed_text = "".join(part.text for part in segments(app) if part.style and part.style.reverse)
        assert "2 Jobs" in reversed_text, "the current tab"
        assert "lesson-10" in reversed_text, "the selected row"
        assert "lesson-11" not in reversed_text
        assert not app.is_allowed(app.screen, "next_theme")


@pytest.mark.parametrize("theme", ["previewops-16-dark", "previewops-16-light"])
async def test_sixteen_colours_are_default_and_six_hues_and_the_selected_row_is_one_run(theme: str) -> None:
    app = make_app(theme=theme)
    async with app.run_test(size=SIZE) as pilot:
        grid = await open_jobs(pilot, app)
        lit = [part for part in grid.render_line(1) if part.style and part.style.reverse]
        assert lit
        colours = [part.style.color for part in lit if part.style]
        assert all(colour is None or colour.is_default for colour in colours), "no patchwork"
        await pilot.press("1", "p")
        await until(pilot, lambda: isinstance(app.screen, PromptDialog))
        for part in segments(app):
            style = part.style
            for colour in () if style is None else (style.color, style.bgcolor):
                assert colour is None or colour.is_default or colour.number in HUES, (part.text, colour)


async def test_sixteen_colours_reverse_the_highlighted_choice() -> None:
    app = make_app(theme="previewops-16-dark")
    async with app.run_test(size=SIZE) as pilot:
        choices = [ChoiceOption("high", "first"), ChoiceOption("low", "last")]
        app.push_screen(ChoiceDialog("Priority", (), choices, verb="continue", initial="low"))
        await until(pilot, lambda: isinstance(app.screen, ChoiceDialog) and app.focused is not None)
        await settled(pilot, app)
        reversed_text = "".join(part.text for part in segments(app) if part.style and part.style.reverse)
        assert "low" in reversed_text
        assert "high" not in reversed_text
