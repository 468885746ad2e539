"""The event screen: feed, filter, following and holding."""

from __future__ import annotations

from dataclasses import replace

import pytest
from textual.pilot import Pilot
from textual.widgets import Input

from previewops.errors import PreviewopsError
from previewops.snapshot.model import QueueEvent
from previewops.tui.app import OperatorApp
from previewops.tui.screens.events.screen import EventsScreen
from previewops.tui.widgets.filter_line import FilterLine
from previewops.tui.widgets.grid import Grid
from previewops.tui.widgets.panel import Panel
from tests.tui import scenes
from tests.tui.screen_support import FakeSource, make_app, renew, screen_text, shown, until

SIZE = (120, 40)


def fresh(number: int, kind: str = "retry", **fields: str) -> QueueEvent:
    """An event after those of the sample data."""
    return QueueEvent(
        f"{scenes.NOW_MS + number}-0", scenes.NOW_MS + number, kind, {"job": f"new-{number}", **fields}
    )


async def opened(pilot: Pilot[int], app: OperatorApp) -> Grid:
    await pilot.press("6")
    await until(pilot, lambda: isinstance(app.screen, EventsScreen) and app.view.snapshot is not None)
    await until(
        pilot, lambda: bool(app.screen.query(Grid)) and bool(shown(app.screen.query_one(Grid)).strip())
    )
    return app.screen.query_one(Grid)


def subtitle(app: OperatorApp) -> str:
    return str(app.screen.query_one("#feed-panel", Panel).border_subtitle)


def keys(app: OperatorApp) -> str:
    return shown(app.screen.query_one("#keys"))


@pytest.mark.parametrize(("size", "wide"), [((80, 24), False), ((120, 40), False), ((200, 60), True)])
async def test_events_newest_first_and_the_one_under_the_cursor_in_full(
    size: tuple[int, int], wide: bool
) -> None:
    app = make_app()
    async with app.run_test(size=size) as pilot:
        grid = await opened(pilot, app)
        lines = shown(grid).splitlines()
        assert "retry" in lines[1]
        assert "dead" in lines[2]
        assert subtitle(app) == "9 events · following"
        await pilot.press("j")
        await until(pilot, lambda: "PermanentJobError" in shown(app.screen.query_one("#event")))
        feed, detail = app.screen.query_one("#feed-panel").region, app.screen.query_one("#event-panel").region
        assert (detail.x > feed.x, detail.y > feed.y) == (wide, not wide)


async def test_while_following_new_events_come_in_on_top_and_the_cursor_stays_there() -> None:
    source = FakeSource()
    app = make_app(source)
    async with app.run_test(size=SIZE) as pilot:
        grid = await opened(pilot, app)
        await renew(pilot, app, source, replace(scenes.BUSY, events=(*scenes.EVENTS, fresh(1))))
        await until(pilot, lambda: "new-1" in shown(grid).splitlines()[1])
        assert grid.cursor_index == 0
        assert "new-1" in shown(app.screen.query_one("#event"))


async def test_below_the_top_the_feed_stands_still_and_counts_new_events() -> None:
    source = FakeSource()
    app = make_app(source)
    async with app.run_test(size=SIZE) as pilot:
        grid = await opened(pilot, app)
        await pilot.press("j", "j")
        await until(pilot, lambda: "held" in subtitle(app))
        before, key = shown(grid), grid.cursor_key
        events = (*scenes.EVENTS, fresh(1), fresh(2))
        await renew(pilot, app, source, replace(scenes.BUSY, events=events))
        await until(pilot, lambda: "2 new, f follows" in subtitle(app))
        assert shown(grid) == before
        assert grid.cursor_key == key
        await pilot.press("f")
        await until(pilot, lambda: "new-2" in shown(grid).splitlines()[1])
        assert grid.cursor_index == 0
        assert "following" in subtitle(app)
        await pilot.press("f")
        await until(pilot, lambda: "held" in subtitle(app))


async def test_a_filter_narrows_while_it_is_typed_is_kept_by_enter_and_cleared_by_escape() -> None:
    app = make_app()
    async with app.run_test(size=SIZE) as pilot:
        grid = await opened(pilot, app)
        line = app.screen.query_one(FilterLine)
        assert not line.display
        await pilot.press("slash")
        await until(pilot, lambda: line.has_pseudo_class("focus-within"))
        await pilot.press(*"kind:dead")
        await until(pilot, lambda: subtitle(app) == "/ kind:dead · 1 event · following")
        assert "lesson-207" in shown(grid)
        assert line.display
        await pilot.press("enter")
        await until(pilot, lambda: grid.has_focus)
        assert "kind:dead" in subtitle(app)
        await pilot.press("escape")  # the filter is cleared and its line hidden
        await until(pilot, lambda: not line.display)
        await until(pilot, lambda: subtitle(app) == "9 events · following")
        await pilot.press("slash", *"nothing-like-it", "enter")
        await until(pilot, lambda: "no event matches" in shown(grid))
        await pilot.press("slash", "escape")  # also while the line is open
        await until(pilot, lambda: subtitle(app) == "9 events · following")
        assert grid.has_focus


async def test_a_field_that_there_is_not_is_rejected_in_the_line() -> None:
    app = make_app()
    async with app.run_test(size=SIZE) as pilot:
        grid = await opened(pilot, app)
        line = app.screen.query_one(FilterLine)
        await pilot.press("slash", *"whom:ada", "enter")
        await until(pilot, lambda: line.has_error)
        await pilot.pause()
        assert line.has_focus_within, "enter does not close it"
        assert subtitle(app) == "9 events · following"
        assert line.text == "whom:ada"
        await pilot.press("escape")
        await until(pilot, lambda: not line.display and not line.has_error)
        assert grid.has_focus


async def test_enter_applies_the_filter_without_delay() -> None:
    app = make_app()
    async with app.run_test(size=SIZE) as pilot:
        await opened(pilot, app)
        await pilot.press("slash")
        app.screen.query_one(FilterLine).query_one(Input).value = "who:grace"
        await pilot.press("enter")
        await until(pilot, lambda: "1 event" in subtitle(app))


async def test_an_inverted_filter_shows_the_others() -> None:
    app = make_app()
    async with app.run_test(size=SIZE) as pilot:
        grid = await opened(pilot, app)
        await pilot.press("exclamation_mark", *"kind:dead", "enter")
        await until(pilot, lambda: subtitle(app) == "/ ! kind:dead · 8 events · following")
        assert "lesson-207" not in shown(grid)
        await pilot.press("exclamation_mark")
        await until(pilot, lambda: subtitle(app) == "/ kind:dead · 1 event · following")


async def test_a_filter_with_brackets_is_not_taken_for_markup() -> None:
    app = make_app()
    async with app.run_test(size=SIZE) as pilot:
        await opened(pilot, app)
        await pilot.press("slash")
        app.screen.query_one(FilterLine).query_one(Input).value = "[red]x[/red] [/nope]"
        await pilot.press("enter")
        panel = app.screen.query_one("#feed-panel", Panel)
        await until(
            pilot,
            lambda: panel._border_subtitle is not None and "[red]x[/red]" in panel._border_subtitle.plain,
        )


async def test_operator_actions_can_be_shown_alone() -> None:
    app = make_app()
    async with app.run_test(size=SIZE) as pilot:
        grid = await opened(pilot, app)
        await pilot.press("o")
        await until(pilot, lambda: "operator actions · 5 events" in subtitle(app))
        assert "lesson-207" not in shown(grid)
        await pilot.press("escape")
        await until(pilot, lambda: "9 events" in subtitle(app))


async def test_the_job_of_an_event_is_opened_and_its_id_copied() -> None:
    app = make_app()
    jobs: list[str] = []
    app.open_job = jobs.append  # type: ignore[method-assign]
    async with app.run_test(size=SIZE) as pilot:
        grid = await opened(pilot, app)
        await pilot.press("j", "enter", "c")
        await until(pilot, lambda: jobs == ["lesson-207"])
        assert app.clipboard == "lesson-207"
        await pilot.press("j")  # resumed: about the queue
        await until(pilot, lambda: "Job" not in keys(app))
        await pilot.press("enter", "c")
        assert jobs == ["lesson-207"]
        assert app.clipboard == "lesson-207"
        grid.go_to(next(key for key in grid.keys if key.startswith(str(scenes.NOW_MS - 260_000))))
        await until(pilot, lambda: "Copy id" in keys(app))  # a command: about a host
        assert "Job" not in keys(app)


async def test_no_events_differs_from_no_connection() -> None:
    app = make_app(FakeSource(scenes.EMPTY))
    async with app.run_test(size=(80, 24)) as pilot:
        grid = await opened(pilot, app)
        assert "no events yet" in shown(grid)
    down = make_app(FakeSource(down=True))
    async with down.run_test(size=(80, 24)) as pilot:
        await pilot.press("6")
        await until(
            pilot, lambda: down.view.connection_loss is not None and isinstance(down.screen, EventsScreen)
        )
        await until(pilot, lambda: "cannot reach the queue" in shown(down.screen.query_one(Grid)))


async def test_a_read_only_screen_shows_and_filters_all_the_same() -> None:
    app = make_app(read_only=True)
    async with app.run_test(size=SIZE) as pilot:
        await opened(pilot, app)
        assert all(word in keys(app) for word in ("Filter", "Follow", "Operators"))
        await pilot.press("slash", *"kind:dead", "enter")
        await until(pilot, lambda: "1 event" in subtitle(app))


async def test_actions_of_operators_reach_back_to_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("previewops.tui.screens.events.screen.ACTIONS_PER_PAGE", 50)
    source = FakeSource()
    source.acts = tuple(
        QueueEvent(
            f"{number}-0",
            scenes.NOW_MS - 60_000 + number,
            "paused",
            {"who": "ana", "why": f"reason {number}"},
        )
        for number in range(1, 121)
    )
    app = make_app(source)
    async with app.run_test(size=SIZE) as pilot:
        grid = await opened(pilot, app)
        await pilot.press("o")
        await until(pilot, lambda: "reason 120" in shown(grid))
        assert "50 events" in subtitle(app)
        assert "older ones below" in subtitle(app)
        for rows in (100, 120):
            await pilot.press("end")
            await until(pilot, lambda rows=rows: f"{rows} events" in subtitle(app))
        await pilot.press("end")
        await until(pilot, lambda: "reason 1" in shown(grid).splitlines()[-1])
        assert "older" not in subtitle(app)


async def test_new_actions_appear_on_top_and_a_failed_fetch_is_named() -> None:
    source = FakeSource()
    app = make_app(source)
    async with app.run_test(size=SIZE) as pilot:
        grid = await opened(pilot, app)
        await pilot.press("o")
        await until(pilot, lambda: "operator actions" in subtitle(app))
        act = fresh(1, "paused", who="zoe", why="a new one")
        source.acts = (*source.acts, act)
        await renew(pilot, app, source, replace(source.snapshot, events=(*source.snapshot.events, act)))
        await until(pilot, lambda: "a new one" in shown(grid).splitlines()[1])
        source.fault = PreviewopsError("no permission to read the stream")
        later = (*source.snapshot.events, fresh(2, "paused", who="zoe"))
        await renew(pilot, app, source, replace(source.snapshot, events=later))
        await until(pilot, lambda: "no permission" in subtitle(app))


async def test_a_burst_is_one_row_that_opens_and_operators_stand_alone() -> None:
    def storm(number: int, kind: str = "dead", **fields: str) -> QueueEvent:
        at_ms = scenes.NOW_MS - 60_000 + number * 100
        return QueueEvent(
            f"{at_ms}-0", at_ms, kind, {"job": f"storm-{number}", "code": "asset-corrupt", **fields}
        )

    events = (
        *(storm(number) for number in range(200)),
        storm(200, "requeued", who="ada@ops", why="disk is back"),
        *(storm(number) for number in range(201, 205)),
    )
    app = make_app(FakeSource(replace(scenes.BUSY, events=events)))
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        await until(pilot, lambda: "200 times" in screen_text(app))
        assert "disk is back" in screen_text(app).split("Latest events")[1]
        await pilot.press("6")
        await until(pilot, lambda: "205 events in 3 rows" in screen_text(app))
        assert "► dead" in screen_text(app)
        assert "enter Unfold" in screen_text(app).splitlines()[-1]
        await pilot.press("G")
        await until(pilot, lambda: "200  asset-corrupt" in screen_text(app))
        await pilot.press("enter")
        await until(pilot, lambda: "205 events in 203 rows" in screen_text(app))
        assert "▼ dead" in screen_text(app)
        assert "storm-199" in screen_text(app)
        assert app.current_mode == "events"
        await pilot.press("enter")
        await until(pilot, lambda: "205 events in 3 rows" in screen_text(app))
        await pilot.press("k")
        await until(pilot, lambda: "disk is back" in screen_text(app) and "enter Job" in screen_text(app))
        await pilot.press("b")
        await until(pilot, lambda: "► dead" not in screen_text(app) and "205 events ·" in screen_text(app))
        await pilot.press("b", "slash", *"storm-20", "enter")
        await until(pilot, lambda: "► dead" in screen_text(app) and "storm-200" in screen_text(app))
