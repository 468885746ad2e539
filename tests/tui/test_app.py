"""The app: snapshots, global keys and read-only mode."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from rich.console import RenderableType
from textual.app import App
from textual.screen import Screen
from textual.widgets import Input, OptionList

from previewops.tui.app import INTERVALS_S
from previewops.tui.commands.commands import Pause, ReadOnly, ReadOnlyExecutor, Resume
from previewops.tui.key_action import action_name
from previewops.tui.keymap import GLOBAL, SCREENS
from previewops.tui.screens.base import OperatorScreen
from previewops.tui.screens.command_palette import ActionPalette
from previewops.tui.state.queue_view import QueueView
from previewops.tui.terminal.palette import themes
from previewops.tui.terminal_app import SWITCH_S
from previewops.tui.viewmodel.overview import charts
from previewops.tui.viewmodel.spans import Line
from tests.tui import scenes
from tests.tui.screen_support import (
    FakeExecutor,
    FakeSource,
    ManualClock,
    make_app,
    renew,
    screen_text,
    settled,
    shown,
    until,
)

SIZE = (120, 40)


async def test_the_first_frame_does_not_wait_for_the_queue() -> None:
    source = FakeSource(down=True)
    app = make_app(source)
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        await until(pilot, lambda: "cannot reach the queue" in screen_text(app))
        assert "connection refused" in screen_text(app)
        source.down = False
        await until(pilot, lambda: "1 worker given up" in screen_text(app))


async def test_a_lost_connection_keeps_the_view_and_shows_its_age() -> None:
    source, clock = FakeSource(), ManualClock()
    app = make_app(source, clock=clock)
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        await until(pilot, lambda: "1,204" in screen_text(app))
        source.down = True
        clock.seconds += 12
        app.poller.poll_now()
        await until(pilot, lambda: "STALE 12 s" in screen_text(app))
        assert "1,204" in screen_text(app), "the last picture stays"
        assert "connection lost" in screen_text(app)
        await until(pilot, lambda: "try 3" in screen_text(app))
        source.down = False
        await until(pilot, lambda: "STALE" not in screen_text(app))
        await until(pilot, lambda: "The display is live again." in screen_text(app))


async def test_polls_do_not_overlap_and_request_new_events_only() -> None:
    source = FakeSource()
    app = make_app(source, interval_s=60.0)
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        await until(pilot, lambda: app.view.snapshot is not None)
        app.poller.poll_now()
        await until(pilot, lambda: len(source.snapshot_queries) >= 2)
        assert source.most_at_once == 1
    first, second = source.snapshot_queries[:2]
    assert (first.history_s, first.history_min) == (3600, 1440)
    assert second.history_s <= 60
    assert second.events_after == scenes.EVENTS[-1].event_id


async def test_charts_follow_each_snapshot_and_are_not_drawn_again_without_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    drawn: list[QueueView] = []
    format_lines = charts.format_throughput_lines

    def recorded(view: QueueView, *args: Any, **options: Any) -> list[Line]:
        drawn.append(view)
        return format_lines(view, *args, **options)

    monkeypatch.setattr(charts, "format_throughput_lines", recorded)
    source, clock = FakeSource(replace(scenes.BUSY, buckets=())), ManualClock()
    app = make_app(source, clock=clock, interval_s=30.0)
    async with app.run_test(size=(100, 30)) as pilot:
        await until(pilot, lambda: app.view.health is not None)
        chart = app.screen.query_one("#throughput-hour")
        before = shown(chart)
        drawings = len(drawn)
        for _ in range(3):
            app.redraw()
        assert len(drawn) == drawings
        await renew(pilot, app, source, scenes.BUSY)
        await until(pilot, lambda: shown(chart) != before)
        assert len(drawn) > drawings


async def test_a_frozen_display_does_not_change() -> None:
    source = FakeSource()
    app = make_app(source)
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        await until(pilot, lambda: "1,204" in screen_text(app))
        await pilot.press("z")
        source.snapshot = scenes.IDLE
        app.poller.poll_now()
        await until(
            pilot, lambda: len(source.snapshot_queries) >= 2 and app.display_state.live.snapshot.active == 0
        )
        assert "1,204" in screen_text(app)
        await until(pilot, lambda: "DISPLAY FROZEN" in screen_text(app))
        assert "paused" not in screen_text(app).split("Latest events")[0]
        await pilot.press("z")
        await until(pilot, lambda: "1,204" not in screen_text(app))
        assert "DISPLAY FROZEN" not in screen_text(app)


async def test_pause_asks_for_a_reason_and_resume_shows_it() -> None:
    source, executor = FakeSource(scenes.IDLE), FakeExecutor()
    app = make_app(source, executor)
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        await until(pilot, lambda: "healthy" in screen_text(app))
        await pilot.press("p")
        await until(pilot, lambda: "Pause the queue" in screen_text(app))
        await pilot.press("escape")
        await until(pilot, lambda: "Pause the queue" not in screen_text(app))
        assert executor.commands == []
        await pilot.press("p")
        await until(pilot, lambda: "Pause the queue" in screen_text(app))
        await pilot.press("enter")
        await until(pilot, lambda: "Enter a reason." in screen_text(app))
        assert executor.commands == [], "a pause tells everybody why"
        await pilot.press(*"disks", "enter")
        await until(pilot, lambda: executor.commands == [Pause("disks")])
        source.snapshot = scenes.PAUSED
        app.poller.poll_now()
        await until(pilot, lambda: "paused 4 min ago by root@host7: deploying" in screen_text(app))
        await pilot.press("p")
        await until(pilot, lambda: "Paused 4 min ago by root@host7:" in screen_text(app))
        assert "  deploying" in screen_text(app)
        await pilot.press("escape")
        await until(pilot, lambda: "Resume the queue" not in screen_text(app))
        assert executor.commands == [Pause("disks")]
        await pilot.press("p")
        await until(pilot, lambda: "Resume the queue" in screen_text(app))
        await pilot.press("enter")
        await until(pilot, lambda: executor.commands == [Pause("disks"), Resume()])


async def test_a_failed_command_shows_message_and_hint() -> None:
    app = make_app(FakeSource(scenes.IDLE), ReadOnlyExecutor(FakeExecutor()))
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        await until(pilot, lambda: "healthy" in screen_text(app))
        app.start_command(Pause("x"))
        await until(pilot, lambda: "Failed" in screen_text(app))
        assert "open it without --read-only" in screen_text(app)


async def test_read_only_hides_mutating_keys_on_every_screen() -> None:
    executor = FakeExecutor()
    app = make_app(FakeSource(), executor, read_only=True)
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        await until(pilot, lambda: "READ-ONLY" in screen_text(app))
        assert "Pause" not in screen_text(app).splitlines()[-1]
        await pilot.press("p")
        await pilot.pause()
        assert "Pause the queue" not in screen_text(app)
        await pilot.press("question_mark")
        await until(pilot, lambda: "Everywhere" in screen_text(app))
        assert "Pause the queue" not in screen_text(app)
        await pilot.press("escape")
        assert not [key_action for key_action in app.front_screen.available_actions() if key_action.mutates]
        app.start_command(Pause("by an internal call"))
        await until(pilot, lambda: "the screen is read-only" in screen_text(app))
    assert executor.commands == []


async def test_the_read_only_executor_rejects_commands() -> None:
    async def nobody(_done: int, _total: int) -> None: ...

    with pytest.raises(ReadOnly, match="not executed"):
        await ReadOnlyExecutor(FakeExecutor()).execute(Resume(), nobody)


async def test_every_number_goes_to_its_screen_and_the_tabs_can_be_clicked() -> None:
    app = make_app()
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        await until(pilot, lambda: app.view.snapshot is not None)
        for number, (mode, _) in enumerate(SCREENS, 1):
            await pilot.press(str(number))
            await until(
                pilot,
                lambda mode=mode: isinstance(app.screen, OperatorScreen) and mode == app.front_screen.MODE,
            )
        line = screen_text(app).splitlines()[1]
        await pilot.click(offset=(line.index("Events") + 2, 1))
        await until(pilot, lambda: app.front_screen.MODE == "events")


async def test_the_pace_goes_up_and_down_and_is_shown() -> None:
    app = make_app()
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        await until(pilot, lambda: "↻1s" in screen_text(app))
        await pilot.press("minus")
        await until(pilot, lambda: "↻2s" in screen_text(app))
        assert app.poller.interval_s == 2.0
        for _ in INTERVALS_S:
            await pilot.press("plus")
        assert app.poller.interval_s == INTERVALS_S[0]
        for _ in INTERVALS_S:
            await pilot.press("minus")
        assert app.poller.interval_s == INTERVALS_S[-1]


async def test_the_palette_lists_and_runs_key_actions() -> None:
    app = make_app()
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        await until(pilot, lambda: app.view.snapshot is not None)
        await pilot.press("colon")
        await until(pilot, lambda: "Freeze the display" in screen_text(app))
        assert "last day" in screen_text(app)
        await pilot.press(*"freezethedisplay")
        await until(pilot, lambda: "last day" not in screen_text(app))
        await pilot.press("enter")
        await until(pilot, lambda: app.view.frozen)


async def test_the_line_of_keys_can_be_clicked() -> None:
    app = make_app()
    async with app.run_test(size=SIZE) as pilot:
        await until(pilot, lambda: "1,204" in screen_text(app))
        line = screen_text(app).splitlines()[-1]
        await pilot.click(offset=(line.index("Freeze") + 2, SIZE[1] - 1))
        await until(pilot, lambda: app.view.frozen)
        await pilot.click(offset=(line.index("Hour/day") + 2, SIZE[1] - 1))
        await until(pilot, lambda: "about a day" in screen_text(app))


async def test_help_has_every_key() -> None:
    app = make_app()
    async with app.run_test(size=(120, 50)) as pilot:
        await until(pilot, lambda: app.view.snapshot is not None)
        await pilot.press("question_mark")
        await until(pilot, lambda: "Everywhere" in screen_text(app))
        shown = " ".join(screen_text(app).split())
        for key_action in GLOBAL:
            if not key_action.action.startswith("show(") and not app.is_forbidden(key_action.action):
                assert key_action.help.split(";")[0][:40] in shown


async def test_every_theme_draws() -> None:
    app = make_app()
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        await until(pilot, lambda: "1,204" in screen_text(app))
        seen = {app.theme}
        for _ in range(len(themes()) - 1):
            await pilot.press("t")
            await pilot.pause()
            seen.add(app.theme)
            assert "1,204" in screen_text(app)
        assert seen == {theme.name for theme in themes()}


async def test_a_panel_can_be_maximized() -> None:
    app = make_app()
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        await until(pilot, lambda: "Latest events" in screen_text(app))
        title, keys = (screen_text(app).splitlines()[line] for line in (0, -1))
        await pilot.press("m")
        await until(pilot, lambda: "Latest events" not in screen_text(app))
        large = screen_text(app).splitlines()
        assert (large[0], large[-1]) == (title, keys), "the queue's status and the keys stay visible"
        assert (large[1][0], large[-2][0]) == ("╭", "╰"), "all between them is the panel's"
        await pilot.press("z")
        await until(pilot, lambda: "DISPLAY FROZEN" in screen_text(app).splitlines()[0])
        await pilot.press("z")
        app.display_state.set_running_command("requeue: 1 of 2")
        app.redraw()
        await until(pilot, lambda: "requeue: 1 of 2" in screen_text(app).splitlines()[-2])
        app.display_state.set_running_command("")
        await pilot.resize_terminal(59, 15)
        await until(pilot, lambda: "60 columns and 15 rows" in screen_text(app))
        await pilot.resize_terminal(*SIZE)
        await until(pilot, lambda: "60 columns and 15 rows" not in screen_text(app))
        await pilot.press("escape")
        await until(pilot, lambda: "Latest events" in screen_text(app))


async def test_a_small_terminal_shows_the_screens_and_keeps_the_keys_that_change_nothing() -> None:
    app = make_app()
    async with app.run_test(size=(60, 14), notifications=True) as pilot:
        await until(pilot, lambda: "60 columns and 15 rows" in screen_text(app))
        await pilot.resize_terminal(60, 15)
        await until(pilot, lambda: "5/8 busy" in screen_text(app))
        assert "80x24" in screen_text(app).splitlines()[-1]
        await pilot.press("7")
        await until(pilot, lambda: "Checks" in screen_text(app))
        await pilot.press("1")
        await until(pilot, lambda: "Waiting" in screen_text(app))
        await pilot.press("z")
        await until(pilot, lambda: app.view.frozen)
        await pilot.press("p")  # nothing is executed that is not visible
        await until(pilot, lambda: "Not executed" in screen_text(app))
        assert app.screen is app.front_screen
        assert "Pause" not in screen_text(app).splitlines()[-1]
        await pilot.resize_terminal(80, 24)
        await until(pilot, lambda: "Latest events" in screen_text(app))


async def test_quit_asks_for_confirmation_when_workers_would_stop() -> None:
    app = make_app(leaving="The workers of this machine stop with it.")
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        await until(pilot, lambda: app.view.snapshot is not None)
        await pilot.press("q")
        await until(pilot, lambda: "The workers of this machine stop" in screen_text(app))
        await pilot.press("enter")  # Cancel has the focus
        await until(pilot, lambda: "The workers of this machine stop" not in screen_text(app))
        await pilot.press("q")
        await until(pilot, lambda: "The workers of this machine stop" in screen_text(app))
        await pilot.press("tab", "enter")
        await until(pilot, lambda: app.return_value == 0)


async def test_production_is_named() -> None:
    app = make_app(environment="production")
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        await until(pilot, lambda: "PRODUCTION" in screen_text(app))


async def test_alarms_are_below_the_headline_with_advice() -> None:
    source = FakeSource()
    app = make_app(source)
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        await until(
            pilot,
            lambda: "a job has waited 6 min 52 s  5 opens Workers  `previewops stats`" in screen_text(app),
        )
        # the snapshot itself ends the alarm, without a health reading
        await renew(pilot, app, source, scenes.IDLE)
        await until(pilot, lambda: "a job has waited" not in screen_text(app))
        assert "`previewops stats`; add" not in screen_text(app)


async def test_each_screen_is_set_up_once(monkeypatch: pytest.MonkeyPatch) -> None:
    mounted: list[str] = []
    real = OperatorScreen.on_mount

    def counted(self: OperatorScreen) -> None:
        mounted.append(self.MODE)
        real(self)

    monkeypatch.setattr(OperatorScreen, "on_mount", counted)
    app = make_app()
    async with app.run_test(size=SIZE) as pilot:
        await until(pilot, lambda: app.view.snapshot is not None)
        for number, (mode, _) in enumerate(SCREENS, 1):
            await pilot.press(str(number))
            await until(pilot, lambda: mode in mounted)  # noqa: B023
            await settled(pilot, app)
    assert sorted(mounted) == sorted(mode for mode, _ in SCREENS)


async def test_a_screen_that_is_changed_to_is_painted_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []
    delay_update, display = App.delay_update, App._display
    painted: list[str] = []

    def noted_wait(self: App[int], delay: float = 0.05) -> None:
        waits.append(delay)
        delay_update(self, delay)

    def noted_paint(self: App[int], screen: Screen[object], renderable: RenderableType | None) -> None:
        if not self._batch_count and isinstance(screen, OperatorScreen):
            painted.append(screen.MODE)
        display(self, screen, renderable)

    monkeypatch.setattr(App, "delay_update", noted_wait)
    monkeypatch.setattr(App, "_display", noted_paint)
    app = make_app()
    async with app.run_test(size=SIZE) as pilot:
        await until(pilot, lambda: app.view.snapshot is not None)
        waits.clear()
        await pilot.press("5")
        await until(pilot, lambda: "workers" in painted)
    assert waits == [SWITCH_S], "Textual itself waits for 0.05 s"


def test_mutating_global_actions() -> None:
    assert {action_name(key_action) for key_action in GLOBAL if key_action.mutates} == {"pause"}


def test_global_actions_have_unique_keys() -> None:
    keys = [key for key_action in GLOBAL for key in key_action.keys.split(",")]
    assert len(keys) == len(set(keys))


async def test_the_palette_finds_actions_of_other_screens_by_name_and_goes_there() -> None:
    executor = FakeExecutor()
    app = make_app(FakeSource(), executor)
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        await until(pilot, lambda: app.view.snapshot is not None)
        for name in ("drain", "export", "requeue as", "maximize", "theme", "enlarge"):
            await pilot.press("colon")
            await until(pilot, lambda: isinstance(app.screen, ActionPalette))
            app.screen.query_one(Input).value = name
            await until(pilot, lambda name=name: name in _palette_entries(app).lower())
            await pilot.press("escape")
            await until(pilot, lambda: app.screen is app.front_screen)
        await pilot.press("colon")
        await until(pilot, lambda: isinstance(app.screen, ActionPalette))
        app.screen.query_one(Input).value = "Drain"
        await until(pilot, lambda: "Drain: Finish the jobs" in _palette_entries(app).splitlines()[0])
        await pilot.press("enter")
        await until(pilot, lambda: app.front_screen is not None and app.front_screen.MODE == "workers")
        assert executor.commands == [], "what it would affect was not visible"


def _palette_entries(app: App[object]) -> str:
    lists = app.screen.query(OptionList)
    options = (lists[0].get_option_at_index(place) for place in range(lists[0].option_count)) if lists else ()
    return "\n".join(str(getattr(option, "prompt", "")) for option in options)


async def test_each_panel_of_the_overview_is_maximized_in_turn() -> None:
    app = make_app()
    async with app.run_test(size=SIZE) as pilot:
        await until(pilot, lambda: "Latest events" in screen_text(app))
        titles = []
        for _ in range(8):
            await pilot.press("m")
            await pilot.pause()
            shown = app.screen.maximized
            if shown is None:
                break
            titles.append(str(shown.border_title))
        assert titles == ["Waiting", "Workers", "Jobs a minute", "Wait and render time", "Latest events"]
        await pilot.press("m", "escape")
        await until(pilot, lambda: app.screen.maximized is None)


async def test_ctrl_c_quits_after_a_mouse_drag() -> None:
    app = make_app()
    async with app.run_test(size=SIZE) as pilot:
        await until(pilot, lambda: "Latest events" in screen_text(app))
        await pilot.mouse_down(offset=(4, 8))
        await pilot.hover(offset=(40, 12))
        await pilot.mouse_up(offset=(40, 12))
        await pilot.press("ctrl+c")
        await until(pilot, lambda: app.exiting)


async def test_a_dialog_does_not_act_while_the_terminal_is_too_small() -> None:
    executor = FakeExecutor()
    app = make_app(FakeSource(), executor)
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        await until(pilot, lambda: app.view.snapshot is not None)
        await pilot.press("p")
        await until(pilot, lambda: "Pause the queue" in screen_text(app))
        await pilot.press("x")
        await pilot.resize_terminal(60, 15)
        await pilot.press("enter")
        await until(pilot, lambda: "Not executed" in screen_text(app))
        assert executor.commands == []
        await pilot.resize_terminal(*SIZE)
        await pilot.press("enter")
        await until(pilot, lambda: executor.commands == [Pause("x")])


async def test_help_lists_keys_that_do_not_fit_the_row() -> None:
    app = make_app()
    async with app.run_test(size=(120, 60)) as pilot:
        await until(pilot, lambda: app.view.snapshot is not None)
        await pilot.press("2")
        await until(pilot, lambda: "lesson-10" in screen_text(app))
        assert not app.is_allowed(app.screen, "requeue"), "the row is a running job"
        await pilot.press("question_mark")
        await until(pilot, lambda: "Requeue the selected dead letters" in screen_text(app))
        assert "(not now)" in screen_text(app)


async def test_a_job_is_opened_by_its_exact_id_in_one_call() -> None:
    source = FakeSource()
    app = make_app(source)
    async with app.run_test(size=SIZE) as pilot:
        await until(pilot, lambda: app.view.snapshot is not None)
        await pilot.press("colon")
        await until(pilot, lambda: isinstance(app.screen, ActionPalette))
        app.screen.query_one(Input).value = "lesson-500"
        await until(pilot, lambda: "Open job lesson-500" in _palette_entries(app))
        await pilot.press("enter")
        await until(pilot, lambda: app.front_screen is not None and app.front_screen.MODE == "job")
        await until(pilot, lambda: set(source.opened) == {"lesson-500"})
        await until(pilot, lambda: "no file" in screen_text(app) and "lesson-500" in screen_text(app))
        assert not source.queries, "no list was searched"


@pytest.mark.parametrize(
    ("typed", "entry", "kept"),
    [
        ("req-7", "List jobs with requestId req-7", "request:=req-7"),
        ("two words", "List jobs with title two words", 'title:"two words"'),
    ],
)
async def test_jobs_are_found_by_request_and_title_from_any_screen(typed: str, entry: str, kept: str) -> None:
    source = FakeSource()
    app = make_app(source)
    async with app.run_test(size=SIZE) as pilot:
        await until(pilot, lambda: app.view.snapshot is not None)
        for mode in ("overview", "jobs"):
            app.action_show(mode)
            await pilot.press("colon")
            await until(pilot, lambda: isinstance(app.screen, ActionPalette))
            app.screen.query_one(Input).value = typed
            await until(pilot, lambda: entry in _palette_entries(app))
            options = app.screen.query_one(OptionList)
            prompts = [str(getattr(option, "prompt", "")) for option in options.options]
            options.highlighted = next(place for place, prompt in enumerate(prompts) if entry in prompt)
            await pilot.press("enter")
            await until(pilot, lambda: f"active filter: {kept}" in screen_text(app))
            await until(pilot, lambda: source.queries and str(source.queries[-1].terms) == kept)
            await until(pilot, lambda: "found among all" in screen_text(app) or "None of" in screen_text(app))
