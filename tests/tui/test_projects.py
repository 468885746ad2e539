"""The screen of ended jobs by project, format and priority."""

from __future__ import annotations

from textual.pilot import Pilot

from previewops.snapshot.breakdown import Dimension, break_down
from previewops.tui.app import OperatorApp
from previewops.tui.commands.commands import SetProjectLimits
from previewops.tui.screens.dialogs.prompt import PromptDialog
from previewops.tui.screens.projects.screen import ProjectsScreen
from previewops.tui.widgets.filter_line import FilterLine
from previewops.tui.widgets.grid import Grid
from previewops.tui.widgets.panel import Panel
from tests.tui import scenes
from tests.tui.screen_support import FakeExecutor, FakeSource, make_app, screen_text, shown, until

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
        assert grid.keys == ("morris", "kids", "trailers", "trial", "archive")
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


async def test_weight_and_maximum_of_the_project_at_the_cursor() -> None:
    source, executor = FakeSource(), FakeExecutor()
    app = make_app(source, executor)
    async with app.run_test(size=SIZE) as pilot:
        grid = await opened(pilot, app)
        assert "‖ held 4/4" in shown(grid)
        await pilot.press("M")
        await until(pilot, lambda: isinstance(app.screen, PromptDialog))
        for key in ("end", "backspace", "0", "enter"):
            await pilot.press(key)
        assert isinstance(app.screen, PromptDialog), "0 is not a maximum"
        for key in ("backspace", "8", "enter"):
            await pilot.press(key)
        await until(pilot, lambda: bool(executor.commands))
        await pilot.press("w")
        await until(pilot, lambda: isinstance(app.screen, PromptDialog))
        await pilot.press("2", "enter")
        await until(pilot, lambda: len(executor.commands) == 2)
        assert executor.commands == [
            SetProjectLimits("morris", max_active=8),
            SetProjectLimits("morris", weight=2),
        ]


async def test_without_ended_jobs_it_says_so() -> None:
    source = FakeSource()
    source.loads = ()
    source.ended = {one: break_down([], one, scenes.NOW_MS) for one in Dimension}
    app = make_app(source)
    async with app.run_test(size=SIZE) as pilot:
        await pilot.press("8")
        await until(pilot, lambda: "no job ended in the last hour" in screen_text(app))
