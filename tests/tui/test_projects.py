"""The screen of ended jobs by project, format and priority."""

from __future__ import annotations

from textual.pilot import Pilot

from previewops.snapshot.breakdown import Dimension, break_down
from previewops.tui.app import OperatorApp
from previewops.tui.screens.projects.screen import ProjectsScreen
from previewops.tui.widgets.filter_line import FilterLine
from previewops.tui.widgets.grid import Grid
from previewops.tui.widgets.panel import Panel
from tests.tui import scenes
from tests.tui.screen_support import FakeSource, make_app, screen_text, until

SIZE = (120, 40)


async def opened(pilot: Pilot[int], app: OperatorApp) -> Grid:
    """Opens the screen, and waits for its rows."""
    await pilot.press("8")
    await until(pilot, lambda: isinstance(app.screen, ProjectsScreen) and bool(app.screen.query(Grid)))
    grid = app.screen.query_one(Grid)
    await until(pilot, lambda: bool(grid.keys))
    return grid


async def test_it_shows_projects_formats_and_priorities_in_turn() -> None:
    app = make_app()
    async with app.run_test(size=SIZE) as pilot:
        grid = await opened(pilot, app)
        assert grid.keys == ("morris", "kids", "trailers", "trial")
        panel = app.screen.query_one("#jobs-chart-panel", Panel)
        await pilot.press("j")
        await until(pilot, lambda: "kids" in str(panel.border_title))
        await pilot.press("b")
        await until(pilot, lambda: grid.keys == ("gif", "mp4", "webp"))
        await pilot.press("b")
        await until(pilot, lambda: grid.keys == ("high", "normal", "low"))
        await pilot.press("I")
        await until(pilot, lambda: grid.keys == ("low", "normal", "high"))


async def test_enter_opens_the_jobs_of_a_project() -> None:
    source = FakeSource()
    app = make_app(source)
    async with app.run_test(size=SIZE) as pilot:
        await opened(pilot, app)
        await pilot.press("j", "enter")
        await until(pilot, lambda: app.current_mode == "jobs" and bool(source.queries))
        await until(pilot, lambda: app.screen.query_one(FilterLine).text == "project:kids")
        await until(pilot, lambda: bool(source.queries[-1].terms))


async def test_without_ended_jobs_it_says_so() -> None:
    source = FakeSource()
    source.ended = {one: break_down([], one, scenes.NOW_MS) for one in Dimension}
    app = make_app(source)
    async with app.run_test(size=SIZE) as pilot:
        await pilot.press("8")
        await until(pilot, lambda: "no job ended in the last hour" in screen_text(app))
