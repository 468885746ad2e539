"""The job list: selecting all jobs that match, over all pages, and commands on them."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from textual.pilot import Pilot

from previewops.queue.dead_letter_filter import DeadLetterFilter
from previewops.queue.filter_query import parse_filter
from previewops.queue.job_selection import PENDING_STATES, JobSelection
from previewops.states import JobState
from previewops.tui.app import OperatorApp
from previewops.tui.commands.commands import Cancel, Delete, Requeue, RunAgain
from previewops.tui.screens.jobs.screen import JobsScreen
from previewops.tui.widgets.grid import Grid
from previewops.tui.widgets.panel import Panel
from tests.tui import scenes
from tests.tui.screen_support import FakeExecutor, FakeSource, make_app, screen_text, until

SIZE = (120, 40)
STATES = (JobState.WAITING, JobState.WAITING, JobState.DELAYED, JobState.ACTIVE, JobState.COMPLETED)


def source_of_kids(count: int = 600) -> FakeSource:
    """``kids-0`` … in all states, then as many of another project."""
    kids = (
        scenes.record(f"kids-{number}", STATES[number % len(STATES)], project_id="kids")
        for number in range(count)
    )
    others = (scenes.record(f"other-{number}", JobState.WAITING, project_id="p") for number in range(count))
    return FakeSource(listed=(*kids, *others))


def title(app: OperatorApp) -> str:
    return app.screen.query_one("#jobs-panel", Panel)._written_title


def subtitle(app: OperatorApp) -> str:
    return app.screen.query_one("#jobs-panel", Panel)._written_subtitle


async def filtered(pilot: Pilot[int], app: OperatorApp, text: str) -> None:
    await until(pilot, lambda: app.view.snapshot is not None)
    await pilot.press("2")
    await until(pilot, lambda: isinstance(app.screen, JobsScreen) and app.screen.composed)
    await pilot.press("slash", *text, "enter")
    await until(pilot, lambda: f"active filter: {text}" in screen_text(app) and "found among" in title(app))


async def test_all_that_match_are_cancelled_over_all_pages_after_a_typed_word() -> None:
    executor = FakeExecutor()
    app = make_app(source_of_kids(), executor)
    async with app.run_test(size=SIZE) as pilot:
        await filtered(pilot, app, "project:=kids")
        await pilot.press("A")
        await until(pilot, lambda: title(app).startswith("all 600 that match selected"))
        assert app.screen.check_action("priority", ()) is False, "only cancel acts on all of them"
        await pilot.press("x")
        await until(pilot, lambda: "Cancel 480 jobs" in screen_text(app))
        text = screen_text(app)
        assert "Filter: project:=kids" in text
        assert "480 jobs: 240 waiting, 120 delayed, 120 active" in text
        assert "For example: kids-596, kids-597, kids-598" in text
        assert "Not affected: 120 that match and have ended." in text
        await pilot.press("shift+tab", *"why", "tab", *"cancel jobs", "enter")
        await until(pilot, lambda: len(executor.commands) == 1)
        (command,) = executor.commands
        assert isinstance(command, Cancel)
        assert command.matched is not None
        assert (command.job_ids, command.reason, command.count) == ((), "why", 480)
        assert command.matched.selection == JobSelection(PENDING_STATES, parse_filter("project:=kids"))
        assert command.matched.count.cut_off_ms == scenes.NOW_MS
        await until(pilot, lambda: "selected" not in title(app))


async def test_a_list_of_one_state_selects_only_that_state() -> None:
    executor = FakeExecutor()
    app = make_app(source_of_kids(50), executor)
    async with app.run_test(size=SIZE) as pilot:
        await filtered(pilot, app, "kids")
        await pilot.press("s", "s")
        await until(pilot, lambda: title(app).startswith("10 found among all"))
        await pilot.press("A")
        await until(pilot, lambda: title(app).startswith("all 10 that match selected"))
        await pilot.press("x")
        await until(pilot, lambda: "10 jobs: 10 delayed" in screen_text(app))
        await pilot.press("tab", "enter")
        await until(pilot, lambda: len(executor.commands) == 1)
        (command,) = executor.commands
        assert isinstance(command, Cancel)
        assert command.matched is not None
        assert command.matched.selection.states == (JobState.DELAYED,)


async def test_the_selection_ends_with_escape_a_mark_another_filter_or_another_list() -> None:
    app = make_app(source_of_kids(30))
    async with app.run_test(size=SIZE) as pilot:
        await filtered(pilot, app, "kids")
        for keys in (("escape",), ("space", "space", "escape"), ("s", "S"), ("exclamation_mark",) * 2):
            await pilot.press("A")
            await until(pilot, lambda: title(app).startswith("all 30 that match selected"))
            await pilot.press(*keys)
            await until(pilot, lambda: "selected" not in title(app))
            await until(pilot, lambda: title(app).startswith("30 found among all"))
        assert "active filter: kids" in screen_text(app), "escape has cleared the selection only"


async def test_a_slow_count_shows_its_progress_and_escape_stops_it() -> None:
    source = source_of_kids(30)
    source.counts_go_on = asyncio.Event()
    app = make_app(source)
    async with app.run_test(size=SIZE) as pilot:
        await filtered(pilot, app, "kids")
        app.screen.action_choose_all()  # type: ignore[attr-defined]  # as a click does, which waits for no key
        await until(pilot, lambda: "counting … 40,000 examined, esc cancels" in subtitle(app))
        app.simulate_key("escape")
        await until(pilot, lambda: source.counts_ended == 1 and "counting" not in subtitle(app))
        assert "selected" not in title(app)
        assert "active filter: kids" in screen_text(app)


async def test_dead_letters_that_match_are_requeued_over_all_pages() -> None:
    dead = tuple(
        replace(letter, job_id=f"dead-{number}") for number, letter in enumerate(scenes.dead_records()[:30])
    )
    executor = FakeExecutor()
    app = make_app(FakeSource(listed=dead, dead_letters=dead), executor)
    async with app.run_test(size=SIZE) as pilot:
        await filtered(pilot, app, "id:dead-1")
        await pilot.press("A")
        await until(pilot, lambda: title(app).startswith("all 11 that match selected"))
        assert app.screen.check_action("cancel", ()) is False
        await pilot.press("r")
        await until(pilot, lambda: "Requeue 11 dead letters" in screen_text(app))
        assert "Filter: id:dead-1" in screen_text(app)
        await pilot.press("tab", "enter")
        letters = DeadLetterFilter(query=parse_filter("id:dead-1"))
        await until(pilot, lambda: executor.commands == [Requeue(letters, 11, cut_off_ms=scenes.NOW_MS)])


async def test_nothing_acts_while_a_term_of_the_filter_is_unknown() -> None:
    app = make_app(source_of_kids(30))
    async with app.run_test(size=SIZE) as pilot:
        await filtered(pilot, app, "kids")
        await pilot.press("slash", "space", *"foo:x")
        await until(pilot, lambda: "unknown filter field" in screen_text(app))
        for action in ("choose_all", "cancel", "requeue"):
            assert app.screen.check_action(action, ()) is False


async def test_the_page_is_marked_and_unmarked() -> None:
    app = make_app(source_of_kids(30))
    async with app.run_test(size=SIZE) as pilot:
        await filtered(pilot, app, "kids-1")
        grid = app.screen.query_one("#jobs", Grid)
        await pilot.press("a")
        await until(pilot, lambda: grid.marks == grid.keys and len(grid.marks) == 11)
        await pilot.press("a")
        await until(pilot, lambda: grid.marks == ())


async def test_completed_and_cancelled_jobs_that_match_run_again_or_are_deleted() -> None:
    executor = FakeExecutor()
    app = make_app(source_of_kids(), executor)
    async with app.run_test(size=SIZE) as pilot:
        await filtered(pilot, app, "kids")
        await pilot.press("s", "s", "s", "s")
        await until(pilot, lambda: title(app).startswith("120 found among all"))
        assert "r Run again" in screen_text(app)
        await pilot.press("A")
        await until(pilot, lambda: title(app).startswith("all 120 that match selected"))
        await pilot.press("r")
        await until(pilot, lambda: "Run 120 jobs again" in screen_text(app))
        assert "Filter: kids" in screen_text(app)
        assert "120 jobs: 120 completed" in screen_text(app)
        await pilot.press(*"run again", "enter")
        await until(pilot, lambda: len(executor.commands) == 1)
        await pilot.press("A")
        await until(pilot, lambda: title(app).startswith("all 120 that match selected"))
        await pilot.press("D")
        await until(pilot, lambda: "Delete 120 jobs" in screen_text(app))
        assert "Deleted permanently" in screen_text(app)
        await pilot.press(*"delete", "enter")
        await until(pilot, lambda: len(executor.commands) == 2)
        again, deletion = executor.commands
        assert isinstance(again, RunAgain)
        assert isinstance(deletion, Delete)
        assert again.matched == deletion.matched
        assert again.matched is not None
        assert again.matched.selection == JobSelection((JobState.COMPLETED,), parse_filter("kids"))


async def test_one_ended_job_runs_again_for_a_reason_and_is_deleted_after_a_question() -> None:
    executor = FakeExecutor()
    app = make_app(source_of_kids(30), executor)
    async with app.run_test(size=SIZE) as pilot:
        await filtered(pilot, app, "id:=kids-4")
        await until(pilot, lambda: title(app).startswith("1 found among all"))
        await pilot.press("r")
        await until(pilot, lambda: "Run kids-4 again" in screen_text(app))
        await pilot.press(*"font", "enter")
        await until(pilot, lambda: executor.commands == [RunAgain(("kids-4",), "font")])
        await pilot.press("D")
        await until(pilot, lambda: "Delete kids-4" in screen_text(app))
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, JobsScreen))
        assert len(executor.commands) == 1, "Cancel had the focus"
        await pilot.press("D")
        await until(pilot, lambda: "Delete kids-4" in screen_text(app))
        await pilot.press("tab", "enter")
        await until(pilot, lambda: executor.commands[1:] == [Delete(("kids-4",), "")])
        await pilot.press("2", "enter")
        await until(pilot, lambda: app.current_mode == "job" and "r Run again" in screen_text(app))
        await pilot.press("r")
        await until(pilot, lambda: "Run kids-4 again" in screen_text(app))
        await pilot.press("enter")
        await until(pilot, lambda: executor.commands[2:] == [RunAgain(("kids-4",), "")])
