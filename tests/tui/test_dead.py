"""The dead-letter screen: groups, jobs, pages, filters, marks and commands."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from textual.pilot import Pilot
from textual.widgets import Button, Input, TextArea

from previewops.errors import RedisUnavailable
from previewops.queue.dead_letter_filter import DeadLetterFilter
from previewops.queue.filter_query import parse_filter
from previewops.queue.records import JobRecord
from previewops.states import JobState, Priority
from previewops.tui.app import OperatorApp
from previewops.tui.commands.commands import (
    CommandOutcome,
    CommandProgress,
    Discard,
    Export,
    OperatorCommand,
    Requeue,
    RequeueWithPayload,
)
from previewops.tui.screens.dead.data import MAX_EXAMINED
from previewops.tui.screens.dead.screen import DeadScreen
from previewops.tui.screens.dialogs.choose import ChoiceDialog
from previewops.tui.screens.dialogs.confirm import ConfirmWithReasonDialog
from previewops.tui.screens.dialogs.edit import EditPayloadDialog
from previewops.tui.screens.dialogs.prompt import PromptDialog
from previewops.tui.terminal import key_queue
from previewops.tui.widgets.grid import Grid
from previewops.tui.widgets.panel import Panel
from tests.tui import scenes
from tests.tui.screen_support import FakeExecutor, FakeSource, make_app, screen_text, settled, until

SIZE = (120, 40)
MISSING, DEADLINE, CRASHED, INVALID, PIXELS = (group[0] for group in scenes.GROUPS)


def source_of(count: int = 82, *, beyond: int = 0) -> FakeSource:
    """``count`` dead letters, and ``beyond`` more that are only counted."""
    return FakeSource(
        replace(scenes.BUSY, dead=count + beyond), dead_letters=scenes.dead_records(count), beyond=beyond
    )


@dataclass
class DeadScreenDriver:
    """The dead-letter screen with helpers to operate it."""

    pilot: Pilot[int]
    app: OperatorApp
    source: FakeSource
    executor: FakeExecutor

    @property
    def screen(self) -> DeadScreen:
        front = self.app.front_screen
        assert isinstance(front, DeadScreen)
        return front

    @property
    def grid(self) -> Grid:
        return next(grid for grid in self.screen.query(Grid) if grid.display and grid.parent.display)  # type: ignore[union-attr]

    @property
    def title(self) -> str:
        return str(self.screen.query_one("#list-panel", Panel).border_title)

    @property
    def subtitle(self) -> str:
        return str(self.screen.query_one("#list-panel", Panel).border_subtitle)

    @property
    def text(self) -> str:
        return screen_text(self.app)

    async def press(self, *keys: str) -> None:
        await self.pilot.press(*keys)

    async def type(self, text: str) -> None:
        """Inserts text into the focused input at once: each key press is a wait."""
        await self.until(lambda: isinstance(self.app.focused, Input))
        line = self.app.focused
        assert isinstance(line, Input)
        line.insert_text_at_cursor(text)
        await self.pilot.pause()

    async def until(self, condition: Callable[[], object]) -> None:
        await until(self.pilot, condition)

    async def dialog(self, kind: type) -> None:
        await self.until(lambda: isinstance(self.app.screen, kind))
        await self.pilot.pause()

    async def done(self, count: int = 1) -> OperatorCommand:
        """Waits for a command and returns the last one."""
        await self.until(lambda: len(self.executor.commands) == count and self.app.screen is self.screen)
        return self.executor.commands[-1]


async def at_dead_letters(
    pilot: Pilot[int], app: OperatorApp, source: FakeSource, executor: FakeExecutor | None = None
) -> DeadScreenDriver:
    """Opens the screen, and waits for the groups or the empty state."""
    await until(pilot, lambda: app.view.snapshot is not None)
    await pilot.press("4")
    await until(pilot, lambda: isinstance(app.screen, DeadScreen) and app.screen.query(Grid))
    driver = DeadScreenDriver(pilot, app, source, executor or FakeExecutor())
    await driver.until(lambda: "loading …" not in driver.text and driver.title != "dead letters")
    return driver


async def opened(driver: DeadScreenDriver, *keys: str) -> None:
    """Presses keys, then waits for the jobs."""
    await driver.press(*keys)
    await driver.until(lambda: driver.grid.keys and driver.grid.keys[0].startswith("lesson"))


# -- looking --------------------------------------------------------------------------------------------


async def test_it_opens_with_the_causes_largest_first() -> None:
    source = source_of()
    app = make_app(source)
    async with app.run_test(size=SIZE) as pilot:
        driver = await at_dead_letters(pilot, app, source)
        await driver.until(lambda: "Traceback" in driver.text)
        assert driver.title == "82 dead letters, 5 groups"
        assert driver.grid.keys == (MISSING, DEADLINE, CRASHED, INVALID, PIXELS)
        for expected in ("asset-missing", "50 %", "41 dead letters, 50 % of all", "group 9a1c33d0be77"):
            assert expected in driver.text
        assert "Newest job" in driver.text
        await driver.press("j")
        await driver.until(lambda: "group 41f0c2aa9310" in driver.text and "longer than 120 s" in driver.text)


async def test_enter_opens_a_cause_and_escape_goes_back_to_it() -> None:
    source = source_of()
    app = make_app(source)
    async with app.run_test(size=SIZE) as pilot:
        driver = await at_dead_letters(pilot, app, source)
        await opened(driver, "j", "enter")
        assert driver.title == "deadline-exceeded 1-22 of 22"
        assert driver.subtitle == "esc: back to the groups"
        assert source.dead_pages[-1] == DeadLetterFilter(fingerprint=DEADLINE)
        job = driver.grid.cursor_key
        await driver.until(lambda: f"{job}  project" in driver.text and "attempt 3" in driver.text)
        await driver.press("escape")
        await driver.until(lambda: driver.title == "82 dead letters, 5 groups")
        assert driver.grid.cursor_key == DEADLINE
        assert driver.grid.has_focus


async def test_enter_on_a_job_opens_it(monkeypatch: pytest.MonkeyPatch) -> None:
    source = source_of()
    app = make_app(source)
    opened_ids: list[str] = []
    monkeypatch.setattr(app, "open_job", opened_ids.append)
    async with app.run_test(size=SIZE) as pilot:
        driver = await at_dead_letters(pilot, app, source)
        await opened(driver, "f")
        await driver.press("j", "enter")
        await driver.until(lambda: opened_ids == [driver.grid.keys[1]])


async def test_f_changes_between_causes_and_all() -> None:
    source = source_of()
    app = make_app(source)
    async with app.run_test(size=SIZE) as pilot:
        driver = await at_dead_letters(pilot, app, source)
        await opened(driver, "f")
        assert driver.title == "dead letters 1-82 of 82"
        assert source.dead_pages[-1] == DeadLetterFilter()
        assert not source.dead_counts, "the number is available without counting"
        await driver.press("f")
        await driver.until(lambda: driver.title == "82 dead letters, 5 groups")


async def test_pages_of_a_long_list() -> None:
    source = source_of(450)
    app = make_app(source)
    async with app.run_test(size=SIZE) as pilot:
        driver = await at_dead_letters(pilot, app, source)
        await opened(driver, "f")
        first = driver.grid.keys
        assert driver.title == "dead letters 1-200 of 450"
        await driver.press("right_square_bracket")
        await driver.until(lambda: driver.title == "dead letters 201-400 of 450")
        assert driver.grid.cursor_index == 0
        await driver.press("G", "j")  # beyond the last row
        await driver.until(lambda: driver.title == "dead letters 401-450 of 450")
        assert (len(driver.grid.keys), driver.grid.cursor_index) == (50, 0)
        await driver.press("right_square_bracket")
        await driver.press("k")  # beyond the first row
        await driver.until(lambda: driver.title == "dead letters 201-400 of 450")
        assert driver.grid.cursor_index == 199
        await driver.press("left_square_bracket")
        await driver.until(lambda: driver.title == "dead letters 1-200 of 450")
        assert driver.grid.keys == first
        await driver.press("left_square_bracket")
        assert driver.title == "dead letters 1-200 of 450"


async def test_a_page_that_has_gone_leads_to_the_one_before() -> None:
    source = source_of(250)
    app = make_app(source)
    async with app.run_test(size=SIZE) as pilot:
        driver = await at_dead_letters(pilot, app, source)
        await opened(driver, "f")
        await driver.press("right_square_bracket")
        await driver.until(lambda: driver.title == "dead letters 201-250 of 250")
        source.dead_letters = source.dead_letters[:120]
        source.snapshot = replace(source.snapshot, dead=120)
        app.poller.poll_now()
        await driver.until(
            lambda: driver.title == "dead letters 1-120 of 120" and len(driver.grid.keys) == 120
        )


async def test_the_list_is_fetched_only_when_dead_letters_change() -> None:
    source = source_of()
    app = make_app(source)
    async with app.run_test(size=SIZE) as pilot:
        driver = await at_dead_letters(pilot, app, source)
        await opened(driver, "f")
        fetched = len(source.dead_pages)
        for _ in range(3):
            polls = len(source.snapshot_queries)
            app.poller.poll_now()
            await driver.until(lambda polls=polls: len(source.snapshot_queries) > polls)
        assert len(source.dead_pages) == fetched
        counters = {**source.snapshot.counters, "died": source.snapshot.counters["died"] + 1}
        newest = replace(source.dead_letters[0], job_id="lesson-new", finished_ms=scenes.NOW_MS)
        source.dead_letters = (newest, *source.dead_letters)
        source.snapshot = replace(source.snapshot, counters=counters, dead=83)
        under = driver.grid.cursor_key
        app.poller.poll_now()
        await driver.until(lambda: driver.grid.keys[0] == "lesson-new")
        assert driver.grid.cursor_key == under, "the cursor stays with its job"
        assert driver.title == "dead letters 1-83 of 83"


async def test_no_dead_letters() -> None:
    source = source_of(0)
    app = make_app(source)
    async with app.run_test(size=SIZE) as pilot:
        driver = await at_dead_letters(pilot, app, source)
        await driver.until(lambda: "There are no dead letters." in driver.text)
        keys = driver.text.splitlines()[-1]
        assert "Requeue" not in keys
        assert "Filter" in keys
        await driver.press("r", "x", "R", "e", "w", "a", "A", "space", "c", "enter", "right_square_bracket")
        await pilot.pause()
        assert app.screen is driver.screen


@pytest.mark.parametrize(
    ("size", "wide", "there"),
    [
        ((80, 24), False, False),
        ((100, 40), False, True),
        ((120, 24), True, True),
        ((200, 60), True, True),
    ],
)
async def test_the_panel_of_the_one_under_the_cursor_has_its_place(
    size: tuple[int, int], wide: bool, there: bool
) -> None:
    source = source_of()
    app = make_app(source)
    async with app.run_test(size=size) as pilot:
        driver = await at_dead_letters(pilot, app, source)
        listed, detail = driver.screen.query_one("#list-panel"), driver.screen.query_one("#detail-panel")
        assert detail.display is there
        await driver.press(*([] if there else ["v"]))
        await driver.until(lambda: "Newest job" in driver.text)
        assert (detail.region.y == listed.region.y) is wide
        assert (detail.region.x == listed.region.x) is not wide
        await driver.press("v")
        await driver.until(lambda: "Newest job" not in driver.text)
        assert not detail.display


async def test_the_detail_panel_shows_fetch_errors_and_state_changes() -> None:
    source = source_of()
    app = make_app(source)
    async with app.run_test(size=SIZE) as pilot:
        driver = await at_dead_letters(pilot, app, source)
        await opened(driver, "f")
        revived = replace(source.dead_letters[1], state=JobState.WAITING)
        source.dead_letters = (source.dead_letters[0], revived, *source.dead_letters[3:])
        await driver.press("j")
        await driver.until(lambda: "not a dead letter any more: it is waiting" in driver.text)
        await driver.press("j")
        await driver.until(lambda: "not updated: no job" in driver.text)


# -- failures -------------------------------------------------------------------------------------------


async def test_a_failed_fetch_keeps_the_rows_and_shows_the_error() -> None:
    source = source_of()
    app = make_app(source, interval_s=60.0)  # the command itself detects the connection loss
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        driver = await at_dead_letters(pilot, app, source)
        await opened(driver, "f")
        rows = driver.grid.keys
        source.down = True
        await driver.press("j", "x")
        await driver.until(lambda: "Failed" in driver.text)
        assert driver.grid.keys == rows
        driver.screen._list.request()
        await driver.until(lambda: driver.subtitle.startswith("not updated: Redis at"))
        assert driver.grid.keys == rows
        source.down = False
        app.poller.poll_now()
        await driver.until(lambda: not driver.subtitle.startswith("not updated"))


async def test_a_failed_first_fetch_shows_the_error_and_is_retried() -> None:
    source = source_of()

    async def unreachable(limit: int) -> tuple[()]:
        raise RedisUnavailable("redis://nowhere", "no server listens there")

    app = make_app(source)
    source.dead_groups = unreachable  # type: ignore[method-assign]
    async with app.run_test(size=SIZE) as pilot:
        driver = await at_dead_letters(pilot, app, source)
        await driver.until(lambda: "no server listens there" in driver.text)
        del source.dead_groups  # type: ignore[attr-defined]
        source.snapshot = replace(source.snapshot)
        app.poller.poll_now()
        await driver.until(lambda: len(driver.grid.keys) == 5)


async def test_a_frozen_display_fetches_nothing() -> None:
    source = source_of()
    app = make_app(source)
    async with app.run_test(size=SIZE) as pilot:
        driver = await at_dead_letters(pilot, app, source)
        await driver.press("z")
        await driver.until(lambda: driver.subtitle == "frozen")
        await driver.press("f")
        await driver.until(lambda: "The display is frozen; z unfreezes it." in driver.text)
        source.snapshot = replace(source.snapshot, dead=83)
        app.poller.poll_now()
        await driver.until(
            lambda: app.display_state.live.snapshot is not None and app.display_state.live.snapshot.dead == 83
        )
        assert not source.dead_pages
        await driver.press("z")
        await driver.until(lambda: len(driver.grid.keys) == 82)


# -- filters --------------------------------------------------------------------------------------------


async def test_a_filter_narrows_causes_while_one_types() -> None:
    source = source_of()
    app = make_app(source)
    async with app.run_test(size=SIZE) as pilot:
        driver = await at_dead_letters(pilot, app, source)
        await driver.press("slash")
        await driver.type("deadline")
        await driver.until(lambda: driver.grid.keys == (DEADLINE,))
        assert driver.title == "1 of 5 groups"
        await driver.press("enter")
        await driver.until(
            lambda: driver.grid.has_focus and "filter: deadline" in driver.text
        )  # it stays visible
        await opened(driver, "enter")
        assert source.dead_pages[-1] == DeadLetterFilter(fingerprint=DEADLINE)
        assert "filter: deadline" not in driver.text
        await driver.press("escape")
        await driver.until(lambda: driver.title == "1 of 5 groups")
        await driver.press("escape")
        await driver.until(lambda: driver.title == "82 dead letters, 5 groups")


async def test_a_command_on_a_filtered_cause_affects_matching_jobs() -> None:
    source, executor = source_of(), FakeExecutor()
    app = make_app(source, executor)
    async with app.run_test(size=SIZE) as pilot:
        driver = await at_dead_letters(pilot, app, source, executor)
        missing = [record for record in source.dead_letters if record.fingerprint == MISSING]
        board = re.search(r"middle-game-\d+", missing[-1].reason or "")
        assert board is not None
        await driver.press("slash")
        await driver.type(f"asset-missing !{board[0]}.png")
        await driver.until(lambda: driver.title == "1 of 5 groups")
        assert driver.subtitle == "commands affect matching jobs only"
        await driver.press("enter", "x")
        await driver.dialog(ConfirmWithReasonDialog)
        assert f"Discard {len(missing) - 1} dead letters" in driver.text
        await driver.press("right", "enter")
        terms = parse_filter(f"error:asset-missing !error:{board[0]}.png")
        chosen = DeadLetterFilter(fingerprint=MISSING, query=terms)
        assert await driver.done() == Discard(chosen, len(missing) - 1, cut_off_ms=scenes.NOW_MS)


async def test_causes_are_not_filtered_by_unsupported_fields() -> None:
    source, executor = source_of(), FakeExecutor()
    app = make_app(source, executor)
    async with app.run_test(size=SIZE) as pilot:
        driver = await at_dead_letters(pilot, app, source, executor)
        await driver.press("slash")
        await driver.until(lambda: "filter: asset-missing" in driver.text)
        await driver.type("!priority:low")
        await driver.until(lambda: driver.title == "0 of 5 groups")
        assert driver.subtitle == "groups are filtered by error text only"
        assert "Groups are filtered by error text," in driver.text
        assert "not by priority:" in driver.text
        await driver.press("enter", "x", "A", "r")
        await settled(pilot, app)
        assert app.screen is driver.screen
        assert not executor.commands


async def test_no_command_on_all_matches_while_the_filter_has_errors() -> None:
    source, executor = source_of(), FakeExecutor()
    app = make_app(source, executor)
    async with app.run_test(size=SIZE) as pilot:
        driver = await at_dead_letters(pilot, app, source, executor)
        await driver.press("slash")
        await driver.type("deadline cause:it")
        await driver.until(lambda: "▲ unknown filter field: found cause, allowed" in driver.text)
        await driver.until(lambda: driver.grid.keys == (DEADLINE,))
        driver.grid.focus()
        await driver.press("x", "A", "r", "w")
        await settled(pilot, app)
        assert app.screen is driver.screen
        assert not executor.commands
        assert "cause:it" in driver.text
        await driver.press("escape")
        await driver.until(lambda: driver.title == "82 dead letters, 5 groups")
        await driver.press("x")
        await driver.dialog(ConfirmWithReasonDialog)


async def test_an_inverted_filter() -> None:
    source = source_of()
    app = make_app(source)
    async with app.run_test(size=SIZE) as pilot:
        driver = await at_dead_letters(pilot, app, source)
        await driver.press("exclamation_mark")
        await driver.type("asset-missing")
        await driver.until(lambda: driver.grid.keys == (DEADLINE, CRASHED, INVALID, PIXELS))
        await driver.press("escape")
        await driver.until(lambda: len(driver.grid.keys) == 5 and driver.grid.has_focus)


async def test_a_filter_of_jobs_is_the_servers_work() -> None:
    source = source_of()
    app = make_app(source)
    async with app.run_test(size=SIZE) as pilot:
        driver = await at_dead_letters(pilot, app, source)
        await opened(driver, "f")
        await driver.press("slash")
        await driver.type("project:trials sigsegv")
        chosen = DeadLetterFilter(query=parse_filter("project:trials sigsegv"))
        await driver.until(lambda: source.dead_pages[-1] == chosen and driver.grid.keys)
        expected = [
            record
            for record in source.dead_letters
            if record.project_id == "trials" and record.code == "render-crashed"
        ]
        assert list(driver.grid.keys) == [record.job_id for record in expected]
        assert driver.title == f"dead letters 1-{len(expected)} of {len(expected)}"
        await driver.type(" nothing")
        await driver.until(lambda: "No dead letter matches project:trials sigsegv nothing" in driver.text)
        await driver.press("escape")
        await driver.until(lambda: len(driver.grid.keys) == 82)


async def test_a_narrow_filter_is_fetched_in_several_calls() -> None:
    source = source_of(450)
    page = source.dead_page
    looking: list[str] = []

    async def narrow(  # type: ignore[no-untyped-def]
        chosen: DeadLetterFilter, cursor: object, limit: int, _cut_off_ms: int | None = None
    ):
        looking.append(driver.subtitle)
        full_page = await page(chosen, cursor, min(limit, 3))  # type: ignore[arg-type]
        return replace(full_page, examined=MAX_EXAMINED // 4)

    app = make_app(source)
    async with app.run_test(size=SIZE) as pilot:
        driver = await at_dead_letters(pilot, app, source)
        await opened(driver, "f")
        source.dead_page = narrow  # type: ignore[method-assign]
        await driver.press("slash")
        await driver.type("asset-missing")
        await driver.until(lambda: len(driver.grid.keys) == 12)
        await driver.until(lambda: driver.title == "dead letters 1-12 of 225")
        assert "searching: 25,000 examined" in looking
        await driver.press("enter", "right_square_bracket")
        await driver.until(lambda: driver.title == "dead letters 13-24 of 225")


async def test_a_filtered_list_is_not_renewed_with_each_death() -> None:
    source = source_of()
    app = make_app(source)
    async with app.run_test(size=SIZE) as pilot:
        driver = await at_dead_letters(pilot, app, source)
        await opened(driver, "f")
        await driver.press("slash")
        await driver.type("asset-missing")
        await driver.until(lambda: len(driver.grid.keys) == 41)
        fetched = len(source.dead_pages)

        async def later(ms: int, dead: int) -> None:
            source.snapshot = replace(source.snapshot, dead=dead, now_ms=source.snapshot.now_ms + ms)
            app.poller.poll_now()
            await driver.until(lambda: app.view.snapshot is source.snapshot or app.view.snapshot.dead == dead)  # type: ignore[union-attr]

        await later(1_000, 83)
        assert len(source.dead_pages) == fetched
        await later(5_000, 84)
        await driver.until(lambda: len(source.dead_pages) > fetched)


# -- marks and choices ----------------------------------------------------------------------------------


async def test_marks_come_and_go() -> None:
    source = source_of()
    app = make_app(source)
    async with app.run_test(size=SIZE) as pilot:
        driver = await at_dead_letters(pilot, app, source)
        await opened(driver, "f")
        first, second = driver.grid.keys[:2]
        await driver.press("space", "space")
        await driver.until(lambda: driver.title.endswith("2 marked"))
        assert driver.grid.marks == (first, second)
        await driver.press("k", "space")
        await driver.until(lambda: driver.title.endswith("1 marked"))
        await driver.press("a")
        await driver.until(lambda: driver.title.endswith("82 marked"))
        await driver.press("a")
        await driver.until(lambda: driver.title == "dead letters 1-82 of 82")
        await driver.press("space", "escape")
        await driver.until(lambda: driver.grid.marks == ())
        assert driver.title == "dead letters 1-82 of 82", "escape cleared the selection only"


async def test_marks_of_several_pages_add_up() -> None:
    source = source_of(450)
    app = make_app(source)
    async with app.run_test(size=SIZE) as pilot:
        driver = await at_dead_letters(pilot, app, source)
        await opened(driver, "f")
        await driver.press("a", "right_square_bracket")
        await driver.until(lambda: driver.title.startswith("dead letters 201-400"))
        await driver.press("space")
        await driver.until(lambda: driver.title.endswith("201 marked"))


async def test_the_mouse_marks_moves_and_opens() -> None:
    source = source_of()
    app = make_app(source)
    async with app.run_test(size=SIZE) as pilot:
        driver = await at_dead_letters(pilot, app, source)
        await pilot.click(driver.grid, offset=(0, 2))
        await driver.until(lambda: driver.grid.marks == (DEADLINE,))
        await pilot.click(driver.grid, offset=(20, 3))
        await driver.until(lambda: driver.grid.cursor_key == CRASHED)
        assert driver.grid.marks == (DEADLINE,)
        await pilot.click(driver.grid, offset=(20, 3), times=2)
        await driver.until(lambda: driver.title.startswith("render-crashed"))


async def test_all_matches_are_counted_before_they_are_selected() -> None:
    source, executor = source_of(450, beyond=81_664), FakeExecutor()
    app = make_app(source, executor)
    async with app.run_test(size=SIZE) as pilot:
        driver = await at_dead_letters(pilot, app, source, executor)
        await opened(driver, "f")
        await driver.press("A")
        await driver.until(lambda: driver.title.endswith("all 82,114 selected"))
        assert source.dead_counts == [DeadLetterFilter()]
        await driver.press("escape")
        await driver.until(lambda: driver.title == "dead letters 1-200 of 82,114")
        await driver.press("slash")
        await driver.type("asset-missing")
        await driver.press("enter", "A")
        await driver.until(lambda: driver.title.endswith("that match selected"))
        await driver.press("space")
        await driver.until(lambda: driver.title.endswith("1 marked"))


async def test_changing_the_list_clears_the_selection() -> None:
    source = source_of()
    app = make_app(source)
    async with app.run_test(size=SIZE) as pilot:
        driver = await at_dead_letters(pilot, app, source)
        await driver.press("A")
        await driver.until(lambda: driver.title.endswith("all 82 selected"))
        await opened(driver, "enter")
        assert "selected" not in driver.title
        await driver.press("space", "escape", "escape")
        await opened(driver, "j", "enter")
        assert "marked" not in driver.title


async def test_marks_are_let_go_with_another_filter_and_over_a_trip_into_a_cause() -> None:
    source, executor = source_of(), FakeExecutor()
    app = make_app(source, executor)
    async with app.run_test(size=SIZE) as pilot:
        driver = await at_dead_letters(pilot, app, source, executor)
        await driver.press("space")
        await driver.until(lambda: driver.grid.marks == (MISSING,))
        await driver.press("slash")
        await driver.type("deadline")
        await driver.until(lambda: driver.grid.keys == (DEADLINE,) and driver.title == "1 of 5 groups")
        assert driver.grid.marks == ()
        await driver.press("enter", "space")
        await driver.until(lambda: driver.grid.marks == (DEADLINE,))
        await opened(driver, "enter")
        await driver.press("escape")
        await driver.until(lambda: driver.title == "1 of 5 groups")
        assert driver.grid.marks == ()
        await driver.press("escape")
        await opened(driver, "f")
        await driver.press("space")
        await driver.until(lambda: driver.title.endswith("1 marked"))
        await driver.press("slash")
        await driver.type("nothing-like-it")
        await driver.until(lambda: "No dead letter matches" in driver.text)
        await driver.press("enter", "r")
        await settled(pilot, app)
        assert not executor.commands, "a mark that the filter would hide is gone"


async def test_a_marked_job_on_another_page_is_confirmed() -> None:
    source, executor = source_of(450), FakeExecutor()
    app = make_app(source, executor)
    async with app.run_test(size=SIZE) as pilot:
        driver = await at_dead_letters(pilot, app, source, executor)
        await opened(driver, "f")
        marked = driver.grid.cursor_key
        await driver.press("space", "right_square_bracket")
        await driver.until(
            lambda: driver.title.startswith("dead letters 201-400") and marked not in driver.grid.keys
        )
        await driver.press("r")
        await driver.dialog(ConfirmWithReasonDialog)
        assert "Requeue 1 dead letter" in driver.text
        await driver.press("right", "enter")
        assert await driver.done() == Requeue(
            DeadLetterFilter(job_ids=(marked,)), 1, cut_off_ms=scenes.NOW_MS
        )


# -- acts -----------------------------------------------------------------------------------------------


async def test_one_visible_job_is_requeued_without_a_count_or_dialog() -> None:
    source, executor = source_of(), FakeExecutor()
    app = make_app(source, executor)
    async with app.run_test(size=SIZE) as pilot:
        driver = await at_dead_letters(pilot, app, source, executor)
        await opened(driver, "f")
        letter = next(record for record in source.dead_letters if record.job_id == driver.grid.cursor_key)
        await driver.press("r")
        shown = letter.finished_ms
        assert await driver.done() == Requeue(DeadLetterFilter(job_ids=(letter.job_id,)), 1, cut_off_ms=shown)
        assert not source.dead_counts


async def test_a_requeue_without_a_dialog_is_bound_to_the_displayed_death() -> None:
    source, executor = source_of(), FakeExecutor()
    app = make_app(source, executor)
    async with app.run_test(size=SIZE) as pilot:
        driver = await at_dead_letters(pilot, app, source, executor)
        await opened(driver, "f")
        await driver.press("z")
        job = driver.grid.cursor_key
        displayed = next(record for record in source.dead_letters if record.job_id == job).finished_ms
        source.dead_letters = tuple(
            replace(record, finished_ms=scenes.NOW_MS - 1) if record.job_id == job else record
            for record in source.dead_letters
        )
        await driver.press("r")
        command = Requeue(DeadLetterFilter(job_ids=(job,)), 1, cut_off_ms=displayed)
        assert displayed != scenes.NOW_MS - 1
        assert await driver.done() == command


async def test_several_jobs_are_confirmed_with_cancel_focused() -> None:
    source, executor = source_of(), FakeExecutor()
    app = make_app(source, executor)
    async with app.run_test(size=SIZE) as pilot:
        driver = await at_dead_letters(pilot, app, source, executor)
        await opened(driver, "f")
        marked = driver.grid.keys[:3]
        await driver.press("space", "space", "space", "r")
        await driver.dialog(ConfirmWithReasonDialog)
        assert app.focused is app.screen.query_one("#cancel")
        assert "Requeue 3 dead letters" in driver.text
        assert "3 dead letters of 2 groups" in driver.text
        await driver.press("enter")
        await driver.until(lambda: app.screen is driver.screen)
        assert driver.grid.marks == marked, "jobs that were not requeued are still marked"
        await driver.press("r")
        await driver.dialog(ConfirmWithReasonDialog)
        await driver.press("up")
        await driver.type("the disk is back")
        await driver.press("enter", "enter")  # out of the input, to Cancel: enter does nothing by mistake
        await driver.until(lambda: app.screen is driver.screen)
        assert not executor.commands
        await driver.press("r")
        await driver.dialog(ConfirmWithReasonDialog)
        app.screen.query_one("#reason", Input).value = " the disk is back "
        await driver.press("right", "enter")
        assert await driver.done() == Requeue(
            DeadLetterFilter(job_ids=marked), 3, None, "the disk is back", cut_off_ms=scenes.NOW_MS
        )
        await driver.until(lambda: driver.grid.marks == ())


async def test_a_hundred_jobs_need_a_typed_word() -> None:
    source, executor = source_of(120), FakeExecutor()
    app = make_app(source, executor)
    async with app.run_test(size=SIZE) as pilot:
        driver = await at_dead_letters(pilot, app, source, executor)
        await driver.press("A")
        await driver.until(lambda: driver.title.endswith("selected"))
        await driver.press("r")
        await driver.dialog(ConfirmWithReasonDialog)
        assert app.focused is app.screen.query_one("#word")
        assert app.screen.query_one("#confirm", Button).disabled
        await driver.type("requeu")
        await driver.press("enter")
        await pilot.pause()
        assert isinstance(app.screen, ConfirmWithReasonDialog)
        await driver.type("e")
        await driver.press("enter")
        assert await driver.done() == Requeue(DeadLetterFilter(), 120, cut_off_ms=scenes.NOW_MS)
        await driver.until(lambda: "selected" not in driver.title)


async def test_a_group_of_one_needs_no_confirmation_and_a_large_one_is_counted_again() -> None:
    source, executor = source_of(), FakeExecutor()
    app = make_app(source, executor)
    async with app.run_test(size=SIZE) as pilot:
        driver = await at_dead_letters(pilot, app, source, executor)
        pixels = [record for record in source.dead_letters if record.fingerprint == PIXELS]
        source.dead_letters = tuple(record for record in source.dead_letters if record is not pixels[0])
        await driver.press("G", "r")  # two of them are visible, one is dead
        assert await driver.done() == Requeue(
            DeadLetterFilter(fingerprint=PIXELS), 1, cut_off_ms=scenes.NOW_MS
        )


async def test_marked_causes_are_one_command() -> None:
    source, executor = source_of(), FakeExecutor()
    app = make_app(source, executor)
    async with app.run_test(size=SIZE) as pilot:
        driver = await at_dead_letters(pilot, app, source, executor)
        await driver.press("j", "space", "space", "r")
        await driver.dialog(ConfirmWithReasonDialog)
        for expected in ("Requeue 33 dead letters", "33 dead letters of 2 groups", "22", "11"):
            assert expected in driver.text
        await driver.press("right", "enter")
        command = await driver.done()
        assert command == Requeue(
            DeadLetterFilter(fingerprint=DEADLINE),
            33,
            other_filters=(DeadLetterFilter(fingerprint=CRASHED),),
            cut_off_ms=scenes.NOW_MS,
        )


@pytest.fixture
def impatient_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """Delivers a key while the one before it still waits for data, as on an operator's screen after a second."""
    monkeypatch.setattr(key_queue, "KEY_TIMEOUT_S", 0.05)


@pytest.mark.usefixtures("impatient_keys")
@pytest.mark.parametrize("key", ["A", "r", "x"])
async def test_a_count_shows_progress_and_escape_cancels_it(key: str) -> None:
    source, executor = source_of(), FakeExecutor()
    source.counts_go_on = asyncio.Event()
    app = make_app(source, executor)
    async with app.run_test(size=SIZE) as pilot:
        driver = await at_dead_letters(pilot, app, source, executor)
        app.simulate_key(key)
        await driver.until(lambda: driver.subtitle == "counting … 40,000 examined, esc cancels")
        app.simulate_key("escape")
        await driver.until(lambda: driver.subtitle == "")
        source.counts_go_on.set()
        await settled(pilot, app)
        assert app.screen is driver.screen, "no dialog opens any more"
        assert driver.title == "82 dead letters, 5 groups"
        await driver.press(key)
        await driver.until(
            lambda: "selected" in driver.title or isinstance(app.screen, ConfirmWithReasonDialog)
        )
    assert not executor.commands


@pytest.mark.usefixtures("impatient_keys")
async def test_a_replaced_count_shows_progress_and_can_be_cancelled() -> None:
    source, executor = source_of(), FakeExecutor()
    source.counts_go_on, source.counts_end = asyncio.Event(), asyncio.Event()
    app = make_app(source, executor)
    async with app.run_test(size=SIZE) as pilot:
        driver = await at_dead_letters(pilot, app, source, executor)
        counting = "counting … 40,000 examined, esc cancels"
        app.simulate_key("A")
        await driver.until(lambda: driver.subtitle == counting)
        driver.screen.action_choose_all()  # as a click in the footer does, which waits for no key
        await driver.until(lambda: len(source.dead_counts) == 2)
        source.counts_end.set()
        await driver.until(lambda: source.counts_ended == 1)
        await pilot.pause()
        assert driver.subtitle == counting
        app.simulate_key("escape")
        await driver.until(lambda: driver.subtitle == "")
    assert not executor.commands


async def test_all_of_a_filter_falls_into_its_causes() -> None:
    source, executor = source_of(), FakeExecutor()
    app = make_app(source, executor)
    async with app.run_test(size=SIZE) as pilot:
        driver = await at_dead_letters(pilot, app, source, executor)
        await opened(driver, "f")
        await driver.press("slash")
        await driver.type("project:trials")
        await driver.press("enter", "A")
        await driver.until(lambda: driver.title.endswith("that match selected"))
        trials = [record for record in source.dead_letters if record.project_id == "trials"]
        await driver.press("x")
        await driver.dialog(ConfirmWithReasonDialog)
        assert f"{len(trials)} dead letters of 5 groups" in driver.text
        missing = sum(record.fingerprint == MISSING for record in trials)
        assert any("asset-missing" in line and f" {missing}  " in line for line in driver.text.splitlines())
        await driver.press("right", "enter")
        assert await driver.done() == Discard(
            DeadLetterFilter(query=parse_filter("project:trials")), len(trials), cut_off_ms=scenes.NOW_MS
        )


async def test_discard_always_asks() -> None:
    source, executor = source_of(), FakeExecutor()
    app = make_app(source, executor)
    async with app.run_test(size=SIZE) as pilot:
        driver = await at_dead_letters(pilot, app, source, executor)
        await opened(driver, "f")
        job = driver.grid.cursor_key
        await driver.press("x")
        await driver.dialog(ConfirmWithReasonDialog)
        assert app.focused is app.screen.query_one("#cancel")
        assert "It is deleted permanently" in driver.text
        await driver.press("escape")
        await driver.until(lambda: app.screen is driver.screen)
        assert not executor.commands
        await driver.press("x")
        await driver.dialog(ConfirmWithReasonDialog)
        app.screen.query_one("#reason", Input).value = "sent twice"
        await pilot.click("#confirm")
        shown = source.dead_letters[0].finished_ms
        assert await driver.done() == Discard(
            DeadLetterFilter(job_ids=(job,)), 1, "sent twice", cut_off_ms=shown
        )


async def test_requeue_as_asks_for_a_priority_first() -> None:
    source, executor = source_of(), FakeExecutor()
    app = make_app(source, executor)
    async with app.run_test(size=SIZE) as pilot:
        driver = await at_dead_letters(pilot, app, source, executor)
        await opened(driver, "f")
        job = driver.grid.cursor_key
        await driver.press("R")
        await driver.dialog(ChoiceDialog)
        assert f"Requeue {job} with which priority?" in driver.text
        await driver.press("j", "enter")
        shown = source.dead_letters[0].finished_ms
        assert await driver.done() == Requeue(
            DeadLetterFilter(job_ids=(job,)), 1, Priority.LOW, cut_off_ms=shown
        )
        await driver.press("space", "space", "R")
        await driver.dialog(ChoiceDialog)
        await driver.press("h")
        await driver.dialog(ConfirmWithReasonDialog)
        assert "Requeue 2 dead letters as high" in driver.text
        await driver.press("right", "enter")
        command = await driver.done(2)
        assert isinstance(command, Requeue)
        assert (command.count, command.priority) == (2, Priority.HIGH)


async def test_a_payload_is_edited_and_requeued() -> None:
    source, executor = source_of(), FakeExecutor()
    app = make_app(source, executor)
    async with app.run_test(size=SIZE) as pilot:
        driver = await at_dead_letters(pilot, app, source, executor)
        assert "Edit" not in driver.text.splitlines()[-1], "a group has no payload"
        await opened(driver, "f")
        job = driver.grid.cursor_key
        await driver.press("e")
        await driver.dialog(EditPayloadDialog)
        editor = app.screen.query_one(TextArea)
        editor.text = editor.text.replace("middle-game.png", "middle.png")
        await driver.press("ctrl+s")
        command = await driver.done()
        assert isinstance(command, RequeueWithPayload)
        assert (command.job_id, command.expected_digest) == (job, "5c1e")
        assert command.payload.request["assets"] == [{"id": "board", "uri": "boards/middle.png"}]


async def test_changed_dead_letters_are_reported_and_not_discarded() -> None:
    source, executor = source_of(), FakeExecutor()
    app = make_app(source, executor)
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        driver = await at_dead_letters(pilot, app, source, executor)
        await opened(driver, "f")
        await settled(pilot, app)  # a running fetch would show that it has gone
        gone, revived = source.dead_letters[0], replace(source.dead_letters[1], state=JobState.WAITING)
        source.dead_letters = (revived, *source.dead_letters[2:])
        await driver.press("x")
        await driver.until(lambda: f"{gone.job_id} has changed: it is not dead any more" in driver.text)
        await driver.press("e")
        await driver.until(lambda: f"no job {gone.job_id}" in driver.text)
        await driver.press("j", "e")
        await driver.until(lambda: "it is waiting" in driver.text)
        assert not executor.commands


async def test_a_payload_that_cannot_be_read_is_edited_from_its_id_on() -> None:
    source = source_of()

    async def unreadable(job_id: str) -> JobRecord:
        return replace(source.dead_letters[0], payload=None)

    source.job = unreadable  # type: ignore[method-assign]
    app = make_app(source)
    async with app.run_test(size=SIZE) as pilot:
        driver = await at_dead_letters(pilot, app, source)
        await opened(driver, "f")
        await driver.press("e")
        await driver.dialog(EditPayloadDialog)
        assert f'"jobId": "{source.dead_letters[0].job_id}"' in app.screen.query_one(TextArea).text


async def test_an_export_prompts_for_a_path_and_keeps_the_selection(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    source, executor = source_of(), FakeExecutor()
    app = make_app(source, executor)
    async with app.run_test(size=SIZE) as pilot:
        driver = await at_dead_letters(pilot, app, source, executor)
        await driver.press("space", "w")
        await driver.dialog(PromptDialog)
        line = app.screen.query_one("#text", Input)
        assert line.value == "dead-letters-preview-jobs-20261124T060307Z.jsonl"
        (tmp_path / "there.jsonl").touch()
        for text, expected in (
            ("there.jsonl", "there.jsonl exists already. Enter another name."),
            ("nowhere/x.jsonl", "Folder nowhere does not exist."),
            ("", "Enter a file name."),
            ("a\0b", "invalid characters"),
            ("~nobody-of-that-name/x", "Invalid path"),
        ):
            line.value = text
            await driver.press("enter")
            await driver.until(lambda expected=expected: expected in driver.text)
        line.value = "new.jsonl"
        await driver.press("enter")
        assert await driver.done() == Export(DeadLetterFilter(fingerprint=MISSING), 41, Path("new.jsonl"))
        assert driver.grid.marks == (MISSING,)


async def test_the_id_at_the_cursor_is_copied(monkeypatch: pytest.MonkeyPatch) -> None:
    source = source_of()
    app = make_app(source)
    copied: list[str] = []
    monkeypatch.setattr(app, "copy_to_clipboard", copied.append)
    async with app.run_test(size=SIZE) as pilot:
        driver = await at_dead_letters(pilot, app, source)
        await driver.press("c")
        await opened(driver, "f")
        await driver.press("c")
        await driver.until(lambda: copied == [MISSING, driver.grid.cursor_key])


class SlowExecutor(FakeExecutor):
    """Executes commands in batches, each released by the test."""

    def __init__(self) -> None:
        super().__init__()
        self.let_through = asyncio.Semaphore(0)

    async def execute(self, command: OperatorCommand, progress: CommandProgress) -> CommandOutcome:
        self.commands.append(command)
        for done in range(100, 1_000, 100):
            await self.let_through.acquire()
            await progress(done, 900)
        return CommandOutcome("requeued 898, skipped 2", complete=False)


async def test_the_screen_stays_responsive_during_a_bulk_command() -> None:
    source, executor = source_of(900), SlowExecutor()
    app = make_app(source, executor)
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        driver = await at_dead_letters(pilot, app, source, executor)
        await driver.press("A")
        await driver.until(lambda: driver.title.endswith("selected"))
        await driver.press("r")
        await driver.dialog(ConfirmWithReasonDialog)
        await driver.type("requeue")
        await driver.press("enter")
        await driver.until(lambda: executor.commands)
        executor.let_through.release()
        await driver.until(lambda: "requeueing 900 dead letters: 100 of 900" in driver.text)
        await opened(driver, "f")
        await driver.press("j", "j")
        await driver.until(lambda: driver.grid.cursor_index == 2)
        source.dead_letters = source.dead_letters[:5]
        for _ in range(9):
            executor.let_through.release()
        await driver.until(lambda: "requeued 898, skipped 2" in driver.text)
        await driver.until(lambda: len(driver.grid.keys) == 5)


async def test_a_cancelled_command_refreshes_the_list() -> None:
    source, executor = source_of(900), SlowExecutor()
    app = make_app(source, executor)
    async with app.run_test(size=SIZE) as pilot:
        driver = await at_dead_letters(pilot, app, source, executor)
        await driver.press("A")
        await driver.until(lambda: driver.title.endswith("selected"))
        await driver.press("r")
        await driver.dialog(ConfirmWithReasonDialog)
        await driver.type("requeue")
        await driver.press("enter")
        await driver.until(lambda: executor.commands)
        source.dead_letters = source.dead_letters[:5]
        await driver.press("ctrl+x")
        await driver.until(lambda: "selected" not in driver.title and len(driver.grid.keys) < 5)


async def test_a_read_only_screen_has_no_mutating_keys() -> None:
    source, executor = source_of(), FakeExecutor()
    app = make_app(source, executor, read_only=True)
    async with app.run_test(size=SIZE) as pilot:
        driver = await at_dead_letters(pilot, app, source, executor)
        await opened(driver, "f")
        keys = driver.text.splitlines()[-1]
        assert "Requeue" not in keys
        assert "Discard" not in keys
        assert "Edit" not in keys
        assert "Mark" in keys
        await driver.press("r", "R", "x", "e")
        await pilot.pause()
        assert app.screen is driver.screen
        await driver.press("w")
        await driver.dialog(PromptDialog)
        assert not executor.commands


async def test_a_dialog_on_all_matches_shows_filter_count_and_sample_at_80x24() -> None:
    chosen = "error:asset !project:kids !project:trial !error:deadline-exceeded !error:too-many"
    source, executor = source_of(600), FakeExecutor()
    source.snapshot = replace(source.snapshot, paused=True)
    app = make_app(source, executor)
    async with app.run_test(size=(80, 24)) as pilot:
        driver = await at_dead_letters(pilot, app, source, executor)
        await opened(driver, "f")
        await driver.press("slash")
        await driver.type(chosen)
        await driver.press("enter")
        await driver.until(lambda: driver.grid.has_focus)
        await driver.until(lambda: chosen in _unwrapped(driver.text))
        assert "active filter: " in driver.text
        await driver.press("A")
        await driver.until(lambda: "selected" in driver.title)
        matching = sum(parse_filter(chosen).matches(_fields(letter)) for letter in source.dead_letters)
        assert matching > 100
        await driver.press("r")
        await driver.dialog(ConfirmWithReasonDialog)
        box = app.screen.query_one("#box").region
        text = _unwrapped(
            "\n".join(row[box.x : box.right] for row in driver.text.splitlines()[box.y : box.bottom])
        )
        assert f"Filter: {chosen}" in text
        assert f"{matching} dead letters" in text
        newest = next(each for each in source.dead_letters if parse_filter(chosen).matches(_fields(each)))
        assert f"For example: {newest.job_id}" in text
        for word in ("reason", "type requeue", "Cancel", "Requeue", "The queue is paused"):
            assert word in text, "without scrolling"


def _fields(letter: JobRecord) -> dict[str, str]:
    error = f"{letter.error_class} {letter.code} {letter.reason}"
    return {"id": letter.job_id, "project": letter.project_id, "priority": letter.priority, "error": error}


def _unwrapped(text: str) -> str:
    """The screen's text without frames, with single blanks."""
    return " ".join(re.sub(r"[│╭╮╰╯─▏▕]+", " ", text).split())
