"""What is in a cause, on the screen."""

from __future__ import annotations

from textual.pilot import Pilot

from previewops.queue.dead_letter_facets import HOUR_MS
from previewops.tui.app import OperatorApp
from previewops.tui.screens.dead.facets import FacetsScreen
from previewops.tui.screens.dead.list_panel import DeadListPanel
from previewops.tui.screens.dead.screen import DeadScreen
from previewops.tui.widgets.grid import Grid
from tests.tui import scenes
from tests.tui.screen_support import FakeSource, make_app, shown, until


async def inside(pilot: Pilot[int], app: OperatorApp) -> Grid:
    """Opens what is in the first group."""
    await pilot.press("4")
    await until(pilot, lambda: isinstance(app.screen, DeadScreen) and app.screen.composed)
    await until(pilot, lambda: bool(app.screen.query_one(DeadListPanel).grid.keys))
    await pilot.press("i")
    await until(pilot, lambda: isinstance(app.screen, FacetsScreen) and bool(app.screen.query(Grid)))
    grid = app.screen.query_one(Grid)
    await until(pilot, lambda: bool(grid.keys))
    return grid


async def choose(pilot: Pilot[int], app: OperatorApp, grid: Grid, key: str) -> DeadListPanel:
    grid.go_to(next(one for one in grid.keys if one.startswith(key)))
    await pilot.press("enter")
    await until(pilot, lambda: isinstance(app.screen, DeadScreen))
    return app.screen.query_one(DeadListPanel)


async def test_a_project_and_then_a_host_filter_the_list() -> None:
    source = FakeSource()
    app = make_app(source)
    async with app.run_test(size=(80, 24)) as pilot:
        panel = await choose(pilot, app, await inside(pilot, app), "project:0:morris")
        await until(pilot, lambda: panel.filter.text == "project:morris" and bool(panel.grid.keys))
        assert source.dead_pages[-1].fingerprint is not None
        await pilot.press("i")
        await until(pilot, lambda: isinstance(app.screen, FacetsScreen) and bool(app.screen.query(Grid)))
        grid = app.screen.query_one(Grid)
        assert sum("project" in key for key in grid.keys) == 1, "facets are those of the filtered list"
        await choose(pilot, app, grid, "host:0:render-1")
        await until(pilot, lambda: panel.filter.text == "project:morris worker:render-1-")


async def test_an_hour_limits_the_list_until_escape() -> None:
    source = FakeSource()
    app = make_app(source)
    async with app.run_test(size=(120, 40)) as pilot:
        panel = await choose(pilot, app, await inside(pilot, app), "hour:")
        await until(pilot, lambda: "died 2026-11-24 06:00 to 07:00 UTC" in str(panel.border_title))
        await until(pilot, lambda: source.dead_pages[-1].died_from_ms is not None)
        assert source.dead_pages[-1].died_from_ms == scenes.NOW_MS // HOUR_MS * HOUR_MS
        await pilot.press("escape")
        await until(pilot, lambda: source.dead_pages[-1].died_from_ms is None)
        assert "died" not in str(panel.border_title)


async def test_many_facets_scroll_above_the_hint() -> None:
    source = FakeSource()
    source.dead_letters = tuple(
        scenes.replace(letter, project_id=f"p{place}", worker=f"h{place}-1-aa", fingerprint="a" * 12)
        for place, letter in enumerate(source.dead_letters)
    )
    app = make_app(source)
    async with app.run_test(size=(80, 24)) as pilot:
        grid = await inside(pilot, app)
        await pilot.press("G")
        await until(pilot, lambda: "hour" in grid.cursor_key)
        assert shown(app.screen.query_one("#hint")).strip().startswith("enter")
        assert app.screen.query_one("#hint").region.bottom < 24
        assert "other" in shown(grid)
