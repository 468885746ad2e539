"""The job list: states, filter, pages, marks, cancelling and a lost connection."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from textual.pilot import Pilot

from previewops.queue.dead_letter_filter import DeadLetterFilter
from previewops.queue.pages import ListPage
from previewops.queue.records import JobRecord
from previewops.states import JobState, Priority
from previewops.tui.app import OperatorApp
from previewops.tui.commands.commands import Cancel, Discard, Requeue, Reschedule
from previewops.tui.protocols import JobQuery
from previewops.tui.screens.jobs.screen import SKIPPED_VIEWS, JobsScreen
from previewops.tui.widgets.choice_list import ChoiceList
from previewops.tui.widgets.grid import Grid
from previewops.tui.widgets.panel import Panel
from tests.tui import scenes
from tests.tui.screen_support import FakeExecutor, FakeSource, make_app, screen_text, settled, until

SIZE = (120, 40)


def labels(app: OperatorApp) -> tuple[str, str]:
    """Title and subtitle of the list's frame."""
    panel = app.screen.query_one("#jobs-panel", Panel)
    return panel._written_title, panel._written_subtitle


def grid(app: OperatorApp) -> Grid:
    return app.screen.query_one("#jobs", Grid)


def shows_title(app: OperatorApp, text: str) -> bool:
    return isinstance(app.screen, JobsScreen) and app.screen.composed and text in labels(app)[0]


async def opened(pilot: Pilot[int], app: OperatorApp, title: str = "jobs 1-200") -> None:
    await until(pilot, lambda: app.view.snapshot is not None)
    await pilot.press("2")
    await until(pilot, lambda: shows_title(app, title))


async def test_the_newest_jobs_are_there_with_live_progress_and_reasons() -> None:
    source = FakeSource()
    app = make_app(source)
    async with app.run_test(size=SIZE) as pilot:
        await opened(pilot, app)
        text = screen_text(app)
        assert "jobs 1-200 of about 11,543" in text
        assert "newest first · live" in text
        assert "completed 10.0k" in text
        assert "cancelled ≤31" in text
        assert "20% frames" in text, "the record has 10 % inspect; the snapshot is more recent"

        runs = tuple(replace(run, progress=0.55, phase="sheet") for run in scenes.RUNS)
        source.snapshot = replace(scenes.BUSY, running_jobs=runs)
        app.poller.poll_now()
        await until(pilot, lambda: "55% sheet" in screen_text(app))


async def test_states_are_stepped_through_and_clicked() -> None:
    source = FakeSource()
    app = make_app(source)
    async with app.run_test(size=SIZE) as pilot:
        await opened(pilot, app)
        await pilot.press("S")
        await until(pilot, lambda: shows_title(app, "cancelled jobs 1-1 of 1"))
        await until(pilot, lambda: "sent twice" in screen_text(app))
        await pilot.press("s", "s")
        await until(pilot, lambda: shows_title(app, "waiting jobs 1-120 of 120"))
        line = screen_text(app).splitlines()[2]
        await pilot.click("#states", offset=(line.index("dead") + 1, 0))
        await until(pilot, lambda: shows_title(app, "dead jobs 1-82 of 82"))
        await until(pilot, lambda: "asset-missing: no file board" in screen_text(app))
        assert source.queries[-1].state is JobState.DEAD


async def test_an_empty_state_is_reported() -> None:
    source = FakeSource(scenes.EMPTY, listed=())
    app = make_app(source)
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(pilot, app, "no jobs")
        assert "previewops submit FILE" in screen_text(app)
        await pilot.press("s")
        await until(pilot, lambda: "There are no waiting jobs." in screen_text(app))
        assert app.screen.check_action("copy", ()) is False
        assert app.screen.check_action("cancel", ()) is False


async def test_a_filter_is_applied_while_one_types_kept_by_enter_and_cleared_by_escape() -> None:
    source = FakeSource()
    app = make_app(source)
    async with app.run_test(size=SIZE) as pilot:
        await opened(pilot, app)
        await pilot.press("slash")
        await until(pilot, lambda: "esc clears it" in screen_text(app))
        await pilot.press(*"project:chess", "space", *"!q1z")
        await until(pilot, lambda: shows_title(app, "50 found among all 359 jobs examined"))
        assert "checkers" not in screen_text(app)
        assert app.current_mode == "jobs", "letters and digits go to the filter"
        assert not app.view.frozen
        await pilot.press("enter")
        await until(pilot, lambda: grid(app).has_focus)
        await until(pilot, lambda: "active filter: project:chess !q1z" in screen_text(app))
        assert "enter keeps it" not in screen_text(app)

        await pilot.press("exclamation_mark", "j", "j")
        assert grid(app).has_focus, "it is negated in place, and the list keeps the focus"
        await until(pilot, lambda: "active filter: ! project:chess !q1z" in screen_text(app))
        await until(pilot, lambda: shows_title(app, "1-200 found") or shows_title(app, "200 found"))
        assert str(source.queries[-1].terms) == "! project:chess !q1z"
        await pilot.press("escape")
        await until(pilot, lambda: shows_title(app, "jobs 1-200 of"))
        assert grid(app).has_focus
        assert "filter:" not in screen_text(app)
        await pilot.press("exclamation_mark", *"high")
        await until(pilot, lambda: "filter: ! high" in screen_text(app))
        assert "kept" not in screen_text(app)


async def test_a_field_that_there_is_not_is_rejected_in_the_line_and_the_list_stays() -> None:
    source = FakeSource()
    app = make_app(source)
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(pilot, app)
        await pilot.press("slash", *"project:chess", "space", *"foo:bar", "enter")
        await until(
            pilot, lambda: "▲ unknown filter field: found foo, allowed id, project," in screen_text(app)
        )
        assert 'double quotes: "foo:…"' in " ".join(screen_text(app).replace("│", " ").split())
        assert "project:chess foo:bar" in screen_text(app), "typed text stays"
        assert not grid(app).has_focus, "it can be corrected at once"
        await until(pilot, lambda: shows_title(app, "found among all 359 jobs examined"))
        assert str(source.queries[-1].terms) == "project:chess"
        assert grid(app).keys

        await pilot.press(*["backspace"] * 7, *'"foo:bar"')
        await until(pilot, lambda: "no field" not in screen_text(app))
        await pilot.press(*["backspace"] * 9, *"!q1z", "enter")
        await until(pilot, lambda: "active filter: project:chess !q1z" in screen_text(app))
        assert grid(app).has_focus


async def test_a_filter_without_matches_shows_the_examined_count() -> None:
    app = make_app(FakeSource())
    async with app.run_test(size=SIZE) as pilot:
        await opened(pilot, app)
        await pilot.press("slash", *"nowhere", "enter")
        await until(pilot, lambda: "None of 359 examined jobs matches nowhere" in screen_text(app))
        await pilot.press("slash", *["backspace"] * 7, "enter")
        await until(pilot, lambda: shows_title(app, "jobs 1-200 of") and "filter:" not in screen_text(app))


def deep_source() -> FakeSource:
    """90,001 jobs, of which the oldest is ``needle``."""
    many = tuple(replace(scenes.JOBS[10], job_id=f"job-{number}") for number in range(90_000))
    return FakeSource(listed=(*many, replace(scenes.JOBS[10], job_id="needle")))


async def test_a_filter_examines_many_jobs_while_one_types_and_all_once_it_is_kept() -> None:
    source = deep_source()
    app = make_app(source)
    async with app.run_test(size=SIZE) as pilot:
        await opened(pilot, app)
        await pilot.press("slash", *"needle")
        await until(pilot, lambda: sum(str(query.terms) == "needle" for query in source.queries) == 20)
        await until(pilot, lambda: shows_title(app, "0 found among the newest 40,000 examined; ] continues"))
        assert "not live" in labels(app)[1], "a costly fetch is not repeated with each snapshot"
        fetches = len(source.queries)
        app.poller.poll_now()
        await until(pilot, lambda: len(source.snapshot_queries) >= 2)
        assert len(source.queries) == fetches
        await pilot.press("enter")
        await until(pilot, lambda: shows_title(app, "1 found among all 90,001 jobs examined"))
        assert grid(app).cursor_key == "needle"


async def test_a_search_to_the_end_shows_its_progress_and_escape_stops_it() -> None:
    source, gate = deep_source(), asyncio.Event()
    find = source.jobs

    async def find_slowly(query: JobQuery) -> ListPage:
        if query.terms and query.cursor is not None:
            await gate.wait()
        return await find(query)

    source.jobs = find_slowly  # type: ignore[method-assign]
    app = make_app(source)
    async with app.run_test(size=SIZE) as pilot:
        await opened(pilot, app)
        await pilot.press("slash", *"needle", "enter")
        await until(pilot, lambda: "searching: 2,000 examined" in labels(app)[1])
        await pilot.press("escape")
        gate.set()
        await until(pilot, lambda: shows_title(app, "jobs 1-200 of"))
        assert sum(bool(query.terms) for query in source.queries) < 6, "90,001 take 46 calls"


async def test_pages_are_turned_by_keys_and_past_the_edges() -> None:
    source = FakeSource()
    app = make_app(source)
    async with app.run_test(size=SIZE) as pilot:
        await opened(pilot, app)
        assert app.screen.check_action("turn_page", (-1,)) is False
        await pilot.press("G", "j")
        await until(pilot, lambda: shows_title(app, "jobs 201-359 of 359"))
        assert grid(app).cursor_index == 0
        assert "page 2 is not live; F5 refreshes" in labels(app)[1]
        assert app.screen.check_action("turn_page", (1,)) is False

        fetches = len(source.queries)
        app.poller.poll_now()
        await until(pilot, lambda: len(source.snapshot_queries) >= 3)
        assert len(source.queries) == fetches, "a later page is not fetched again"
        await pilot.press("f5")
        await until(pilot, lambda: len(source.queries) == fetches + 1)

        await pilot.press("k")
        await until(pilot, lambda: shows_title(app, "jobs 1-200 of"))
        assert grid(app).cursor_index == 199, "one goes on where one came from"
        await pilot.press("right_square_bracket")
        await until(pilot, lambda: shows_title(app, "jobs 201-359"))
        await pilot.press("left_square_bracket")
        await until(pilot, lambda: shows_title(app, "jobs 1-200"))
        assert grid(app).cursor_index == 0


async def test_the_order_is_reversed() -> None:
    source = FakeSource()
    app = make_app(source)
    async with app.run_test(size=SIZE) as pilot:
        await opened(pilot, app)
        await pilot.press("o")
        await until(pilot, lambda: "oldest first" in labels(app)[1] and grid(app).cursor_key == "trial-8")
        assert source.queries[-1].newest_first is False


async def test_a_page_is_sorted_by_key_and_by_a_click_on_a_title() -> None:
    app = make_app(FakeSource())
    async with app.run_test(size=SIZE) as pilot:
        await opened(pilot, app)
        first = grid(app).keys
        await pilot.press("O", "O", "O")
        await until(pilot, lambda: "this page by job ▲" in labels(app)[1])
        assert list(grid(app).keys) == sorted(first)
        assert grid(app).cursor_index == 0
        await pilot.press("I")
        await until(pilot, lambda: list(grid(app).keys) == sorted(first, reverse=True))
        at = grid(app).render_line(0).text.index("since")
        await pilot.click("#jobs", offset=(at + 1, 0))
        await until(pilot, lambda: "this page by since ▼" in labels(app)[1])
        await pilot.press("o")
        await until(pilot, lambda: "oldest first" in labels(app)[1])
        assert app.screen.check_action("reverse_sort", ()) is False


async def test_a_list_of_one_state_is_sorted_over_all_pages_by_the_time_of_its_index() -> None:
    source = FakeSource()
    app = make_app(source)
    async with app.run_test(size=SIZE) as pilot:
        await opened(pilot, app)
        await pilot.press("s")
        await until(pilot, lambda: shows_title(app, "waiting jobs 1-120"))
        newest = grid(app).keys
        at = grid(app).render_line(0).text.index("since")
        await pilot.click("#jobs", offset=(at + 1, 0))
        await until(pilot, lambda: "all pages by since ▼" in labels(app)[1])
        await until(pilot, lambda: grid(app).keys == newest[::-1])
        assert source.queries[-1].newest_first is False
        await pilot.press("I")
        await until(pilot, lambda: "all pages by since ▲" in labels(app)[1] and grid(app).keys == newest)
        await pilot.press("S")
        await until(pilot, lambda: "this page by since ▲" in labels(app)[1])


async def test_one_job_is_cancelled_for_a_reason() -> None:
    source, executor = FakeSource(), FakeExecutor()
    app = make_app(source, executor)
    async with app.run_test(size=SIZE) as pilot:
        await opened(pilot, app)
        await pilot.press("x")
        await until(pilot, lambda: "Cancel job lesson-10" in screen_text(app))
        assert "its render process is killed" in screen_text(app)
        await pilot.press("escape")
        await until(pilot, lambda: "Cancel job" not in screen_text(app))
        assert executor.commands == []
        await pilot.press("x")
        await until(pilot, lambda: "Cancel job lesson-10" in screen_text(app))
        await pilot.press(*"twice", "enter")
        await until(pilot, lambda: executor.commands == [Cancel(("lesson-10",), "twice")])


async def test_several_jobs_are_cancelled_after_a_second_question_with_cancel_focused() -> None:
    source, executor = FakeSource(), FakeExecutor()
    app = make_app(source, executor)
    async with app.run_test(size=SIZE) as pilot:
        await opened(pilot, app)
        await pilot.press("space", "space", "j", "j", "j", "space")
        await until(pilot, lambda: "3 marked" in labels(app)[1])
        marked = grid(app).marks
        await pilot.press("x")
        await until(pilot, lambda: "Cancel 3 jobs" in screen_text(app))
        await pilot.press(*"why", "enter")
        await until(pilot, lambda: "3 jobs are cancelled and will not be rendered." in screen_text(app))
        assert "2 of them are running" in screen_text(app)
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, JobsScreen))
        assert executor.commands == [], "Cancel had the focus"
        await pilot.press("x")
        await until(pilot, lambda: "Cancel 3 jobs" in screen_text(app))
        await pilot.press("enter")
        await until(
            pilot, lambda: "will not be rendered." in screen_text(app) and "lesson-11" in screen_text(app)
        )
        await pilot.press("tab", "enter")
        await until(pilot, lambda: executor.commands == [Cancel(marked, "")])
        await until(pilot, lambda: grid(app).marks == ())


async def test_a_hundred_jobs_need_a_typed_word() -> None:
    source, executor = FakeSource(), FakeExecutor()
    app = make_app(source, executor)
    async with app.run_test(size=SIZE) as pilot:
        await opened(pilot, app)
        keys = tuple(f"lesson-{number}" for number in range(200, 310))
        grid(app).mark((*keys, "lesson-500"))
        await pilot.press("s")
        await until(pilot, lambda: shows_title(app, "waiting jobs") and "111 marked" in labels(app)[1])
        await pilot.press("S")
        await until(pilot, lambda: shows_title(app, "jobs 1-200"))
        await pilot.press("x")
        await until(pilot, lambda: "Cancel 111 jobs" in screen_text(app))
        await pilot.press("enter")
        await until(pilot, lambda: "type cancel jobs" in screen_text(app))
        await pilot.press(*"cancel jobs", "enter")
        await until(pilot, lambda: executor.commands == [Cancel((*keys, "lesson-500"), "")])


def source_with_delayed_jobs() -> FakeSource:
    """``later-0`` …, a waiting, a running and a completed job, none of which the snapshot shows as running."""
    delayed = (scenes.record(f"later-{number}", JobState.DELAYED) for number in range(120))
    others = {"next": JobState.WAITING, "runs": JobState.ACTIVE, "ended": JobState.COMPLETED}
    return FakeSource(listed=(*(scenes.record(*other) for other in others.items()), *delayed))


async def test_the_priority_of_a_waiting_job_is_changed() -> None:
    executor = FakeExecutor()
    app = make_app(source_with_delayed_jobs(), executor)
    async with app.run_test(size=SIZE) as pilot:
        await opened(pilot, app, "jobs 1-123")
        assert "P Priority" in screen_text(app)
        assert "R Run now" not in screen_text(app)
        await pilot.press("P")
        await until(pilot, lambda: "Which priority for next?" in screen_text(app))
        assert app.screen.query_one(ChoiceList).highlighted == 1, "its own priority, normal"
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(app.screen, JobsScreen))
        assert executor.commands == []
        await pilot.press("P")
        await until(pilot, lambda: "Which priority for next?" in screen_text(app))
        await pilot.press("h")
        await until(pilot, lambda: executor.commands == [Reschedule(("next",), Priority.HIGH)])
        await pilot.press("j")
        await until(pilot, lambda: grid(app).cursor_key == "runs")
        await pilot.press("P", "R")
        await settled(pilot, app)
        assert isinstance(app.screen, JobsScreen), "it runs"


async def test_a_delayed_job_runs_now_and_several_after_a_question() -> None:
    executor = FakeExecutor()
    source = source_with_delayed_jobs()
    source.snapshot = scenes.PAUSED
    app = make_app(source, executor)
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(pilot, app, "jobs 1-123")
        await pilot.press("j", "j", "j")
        await until(pilot, lambda: grid(app).cursor_key == "later-0")
        await pilot.press("R")
        await until(pilot, lambda: "Run later-0 now" in screen_text(app))
        assert "The queue is paused" in screen_text(app)
        await pilot.press(*"due", "enter")
        await until(pilot, lambda: executor.commands == [Reschedule(("later-0",), now=True, reason="due")])
        grid(app).mark(("next", "later-1", "later-2"))
        await pilot.press("R")
        await until(pilot, lambda: "2 delayed jobs join" in screen_text(app))
        assert "Not affected: 1 more" in screen_text(app)
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, JobsScreen))
        assert len(executor.commands) == 1, "Cancel had the focus"
        marked = tuple(f"later-{number}" for number in range(100))
        grid(app).mark(marked)
        await pilot.press("P")
        await until(pilot, lambda: "Which priority for 100 jobs?" in screen_text(app))
        await pilot.press("l")
        await until(pilot, lambda: "100 jobs get priority low." in screen_text(app))
        await pilot.press(*"change", "enter")
        await until(pilot, lambda: executor.commands[1:] == [Reschedule(marked, Priority.LOW)])
        await until(pilot, lambda: grid(app).marks == ())


async def test_jobs_that_have_ended_are_not_cancelled() -> None:
    source, executor = FakeSource(), FakeExecutor()
    app = make_app(source, executor)
    async with app.run_test(size=SIZE) as pilot:
        await opened(pilot, app)
        await pilot.press("s", "s", "s", "s", "s")
        await until(pilot, lambda: shows_title(app, "dead jobs"))
        assert app.screen.check_action("cancel", ()) is False
        assert "x Cancel" not in screen_text(app)
        assert "x Discard" in screen_text(app)
        await pilot.press("s")
        await until(pilot, lambda: shows_title(app, "cancelled jobs"))
        await pilot.press("x")
        assert isinstance(app.screen, JobsScreen)
        assert "r Run again" in screen_text(app)
    assert executor.commands == []


async def test_dead_jobs_are_confirmed_as_on_the_dead_letter_screen() -> None:
    dead = tuple(
        replace(letter, job_id=f"dead-{number}") for number, letter in enumerate(scenes.dead_records()[:3])
    )
    source, executor = FakeSource(listed=(scenes.JOBS[0], *dead), dead_letters=dead), FakeExecutor()
    app = make_app(source, executor)
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        await pilot.press("2")
        await until(pilot, lambda: isinstance(app.screen, JobsScreen) and len(grid(app).keys) == 4)
        await pilot.press("r")  # on a running one
        assert app.screen.check_action("requeue", ()) is False
        await pilot.press("j", "r")
        one = Requeue(DeadLetterFilter(job_ids=("dead-0",)), 1, cut_off_ms=dead[0].finished_ms)
        await until(pilot, lambda: executor.commands == [one])
        await pilot.press("x")
        await until(pilot, lambda: "Discard 1 dead letter" in screen_text(app))
        await pilot.press("escape")
        grid(app).mark(("dead-0", "dead-1", scenes.JOBS[0].job_id))
        await pilot.press("r")
        await until(pilot, lambda: "Requeue 2 dead letters" in screen_text(app))
        await pilot.press("tab", "enter")
        both = Requeue(DeadLetterFilter(job_ids=("dead-0", "dead-1")), 2, cut_off_ms=scenes.NOW_MS)
        await until(pilot, lambda: executor.commands == [one, both])
        await until(pilot, lambda: grid(app).marks == ())
        grid(app).mark(("dead-1", "dead-2"))
        await pilot.press("x")
        await until(pilot, lambda: "Discard 2 dead letters" in screen_text(app))
        await pilot.press("tab", "enter")
        await until(pilot, lambda: len(executor.commands) == 3)
        chosen = DeadLetterFilter(job_ids=("dead-1", "dead-2"))
        assert executor.commands[-1] == Discard(chosen, 2, cut_off_ms=scenes.NOW_MS)


async def test_marks_are_let_go_by_escape_and_ids_copied_and_a_job_opened() -> None:
    source = FakeSource()
    app = make_app(source)
    async with app.run_test(size=SIZE) as pilot:
        await opened(pilot, app)
        await pilot.press("c")
        assert app.clipboard == "lesson-10"
        await pilot.press("space", "space", "c")
        assert app.clipboard == "lesson-10\nlesson-11"
        await pilot.press("escape")
        assert grid(app).marks == ()
        await pilot.press("j", "enter")
        await until(pilot, lambda: app.current_mode == "job")
        assert app.job_id == grid_key_before(source)


def grid_key_before(source: FakeSource) -> str:
    """The job at the cursor: two marked, one further down."""
    return source.listed[3].job_id


async def test_a_failed_fetch_keeps_the_rows_and_shows_the_error() -> None:
    source = FakeSource()
    app = make_app(source)
    async with app.run_test(size=SIZE) as pilot:
        await opened(pilot, app)
        source.down = True
        await pilot.press("f5")
        await until(pilot, lambda: "not updated" in labels(app)[1])
        assert "lesson-205" in screen_text(app)
        await pilot.press("s")
        await until(pilot, lambda: "The next snapshot tries again." in screen_text(app))
        assert "lesson-10" not in screen_text(app), "rows of another list would be a lie"
        source.down = False
        app.poller.poll_now()
        await until(pilot, lambda: shows_title(app, "waiting jobs 1-120"))


async def test_no_automatic_fetch_while_frozen() -> None:
    source = FakeSource()
    app = make_app(source)
    async with app.run_test(size=SIZE) as pilot:
        await opened(pilot, app)
        await pilot.press("z")
        await until(pilot, lambda: "frozen" in labels(app)[1])
        fetches, polls = len(source.queries), len(source.snapshot_queries)
        app.poller.poll_now()
        await until(pilot, lambda: len(source.snapshot_queries) > polls)
        assert len(source.queries) == fetches
        await pilot.press("z")
        await until(pilot, lambda: len(source.queries) > fetches)


async def test_a_frozen_display_shows_no_rows_of_another_list() -> None:
    source = FakeSource()
    app = make_app(source)
    async with app.run_test(size=SIZE) as pilot:
        await opened(pilot, app)
        await pilot.press("z")
        await until(pilot, lambda: "frozen" in labels(app)[1])
        fetches = len(source.queries)
        await pilot.press("s")
        await until(pilot, lambda: shows_title(app, "waiting jobs"))
        await until(pilot, lambda: "The display is frozen; z unfreezes it." in screen_text(app))
        assert "lesson-10" not in screen_text(app), "rows of another list would be a lie"
        await pilot.press("f5", "o")
        await until(pilot, lambda: "oldest first" in labels(app)[1])
        await pilot.press("slash", *"chess", "enter")
        await until(pilot, lambda: grid(app).has_focus)
        assert len(source.queries) == fetches
        await pilot.press("z")
        await until(pilot, lambda: shows_title(app, "found among all 359 waiting jobs examined"))
        assert source.queries[-1].newest_first is False


async def test_two_fetches_never_overlap() -> None:
    source = CountingSource()
    app = make_app(source)
    async with app.run_test(size=SIZE) as pilot:
        await opened(pilot, app)
        await pilot.press("s", "f5", "s", "f5", "o", "f5", "s")
        await until(pilot, lambda: shows_title(app, "active jobs 1-5"))
        assert source.most_queries == 1
        assert source.queries[-1].newest_first is False


async def test_rows_that_race_by_are_slowed_down() -> None:
    def batch(number: int) -> tuple[JobRecord, ...]:
        return tuple(replace(scenes.JOBS[10], job_id=f"job-{number}-{place}") for place in range(300))

    source = FakeSource(listed=batch(0))
    app = make_app(source)
    async with app.run_test(size=SIZE) as pilot:
        await opened(pilot, app)
        for number in range(1, 3):
            source.listed = batch(number)
            fetches, polls = len(source.queries), len(source.snapshot_queries)
            app.poller.poll_now()
            await until(pilot, lambda fetches=fetches: len(source.queries) > fetches)  # type: ignore[misc]
            await until(pilot, lambda: "live, slowed down" in labels(app)[1])
            for rest in range(1, SKIPPED_VIEWS + 1):
                app.poller.poll_now()
                await until(pilot, lambda seen=polls + 1 + rest: len(source.snapshot_queries) >= seen)  # type: ignore[misc]
            assert len(source.queries) == fetches + 1
        app.poller.poll_now()
        await until(pilot, lambda: labels(app)[1].endswith("live"))


class CountingSource(FakeSource):
    """Counts the queries that run at the same time."""

    under_way = 0
    most_queries = 0

    async def jobs(self, query: JobQuery) -> ListPage:
        self.under_way += 1
        self.most_queries = max(self.most_queries, self.under_way)
        await asyncio.sleep(0)
        page = await super().jobs(query)
        self.under_way -= 1
        return page


async def test_a_read_only_screen_cancels_nothing() -> None:
    executor = FakeExecutor()
    app = make_app(FakeSource(), executor, read_only=True)
    async with app.run_test(size=SIZE) as pilot:
        await opened(pilot, app)
        assert "Cancel" not in screen_text(app)
        await pilot.press("x", "P", "R")
        await settled(pilot, app)  # a dialog would be open by now
        assert isinstance(app.screen, JobsScreen)
        app.start_command(Cancel(("lesson-10",), "by an internal call"))
        await settled(pilot, app)
        assert executor.commands == []
        assert {"cancel", "priority", "run_now"}.isdisjoint(
            key_action.action for key_action in app.screen.all_actions()
        )


async def test_eighty_columns_show_what_matters() -> None:
    app = make_app(FakeSource())
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(pilot, app)
        text = screen_text(app)
        assert "lesson-10" in text
        assert "20% frames" in text
        assert "cancelled ≤31" in text
        assert "…" not in text.split("jobs 1-200")[0], "the line of states is complete"
