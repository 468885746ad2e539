"""Tables: the cursor at the edges, and the colour of its row."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from rich.color import Color
from textual.app import App, ComposeResult
from textual.pilot import Pilot

from previewops.tui.terminal.palette import themes
from previewops.tui.viewmodel.columns import TableColumn
from previewops.tui.viewmodel.spans import Span
from previewops.tui.widgets.grid import Grid, Row

SIZE = (40, 20)
ROWS = 30


class Lists(App[None]):
    """Two tables, and the edges that the cursor was moved past."""

    CSS = "Grid { height: 10; }"

    def __init__(self) -> None:
        super().__init__()
        for theme in themes():
            self.register_theme(theme)
        self.theme = "previewops-dark"
        self.past: list[int] = []

    def compose(self) -> ComposeResult:
        yield Grid((TableColumn("name", 10, grow=1),), id="upper")
        yield Grid((TableColumn("name", 10, grow=1),), id="lower")

    def on_mount(self) -> None:
        for grid in self.query(Grid):
            grid.show([Row(f"row-{place}", ((Span(f"row {place}"),),)) for place in range(ROWS)])

    def on_grid_past_edge(self, message: Grid.PastEdge) -> None:
        self.past.append(message.step)

    def grid(self, name: str) -> Grid:
        return self.query_one(f"#{name}", Grid)


@asynccontextmanager
async def lists() -> AsyncIterator[tuple[Lists, Pilot[None]]]:
    app = Lists()
    async with app.run_test(size=SIZE) as pilot:
        app.grid("upper").focus()
        await pilot.pause()
        yield app, pilot


def background(grid: Grid) -> tuple[int, int, int]:
    """The background of the cursor's row, which is the first one."""
    style = next(iter(grid.render_line(1))).style
    assert style is not None
    assert style.bgcolor is not None
    return tuple(style.bgcolor.get_truecolor())  # type: ignore[return-value]


def colour(app: Lists, variable: str) -> tuple[int, int, int]:
    return tuple(Color.parse(app.theme_variables[variable]).get_truecolor())  # type: ignore[return-value]


async def test_a_page_key_goes_to_the_edge_first_and_past_it_only_from_there() -> None:
    async with lists() as (app, pilot):
        grid = app.grid("upper")
        grid.show([Row(f"row-{place}", ((Span(f"row {place}"),),)) for place in range(5)])
        await pilot.press("pagedown")
        assert (grid.cursor_index, app.past) == (4, [])
        await pilot.press("pageup")
        assert (grid.cursor_index, app.past) == (0, [])
        await pilot.press("pageup")
        assert app.past == [-1]
        await pilot.press("pagedown", "pagedown")
        assert (grid.cursor_index, app.past) == (4, [-1, 1])


async def test_the_only_row_is_both_edges() -> None:
    async with lists() as (app, pilot):
        app.grid("upper").show([Row("alone", ((Span("alone"),),))])
        await pilot.press("j", "k")
        assert app.past == [1, -1]


async def test_the_cursors_row_has_the_colour_of_the_focus_only_while_the_list_has_it() -> None:
    async with lists() as (app, pilot):
        upper, lower = app.grid("upper"), app.grid("lower")
        lit, unlit = colour(app, "block-cursor-background"), colour(app, "panel")
        assert lit != unlit
        assert (background(upper), background(lower)) == (lit, unlit)
        lower.focus()
        await pilot.pause()
        assert (background(upper), background(lower)) == (unlit, lit)
        upper.focus()
        await pilot.pause()
        assert (background(upper), background(lower)) == (lit, unlit)
