"""The worker screen: rows, commands, and where they are not available."""

from __future__ import annotations

from dataclasses import replace

import pytest
from textual.pilot import Pilot
from textual.widgets import Button, Input

from previewops.snapshot.fleet import WorkerCountRange
from previewops.tui.app import OperatorApp
from previewops.tui.commands.commands import FleetActionCommand, OperatorCommand, Scale
from previewops.tui.screens.dialogs.confirm import ConfirmDialog
from previewops.tui.screens.dialogs.prompt import PromptDialog
from previewops.tui.screens.workers.screen import WorkersScreen
from previewops.tui.widgets.grid import Grid
from previewops.tui.widgets.panel import Panel
from tests.tui import scenes
from tests.tui.screen_support import FakeExecutor, FakeSource, make_app, renew, screen_text, shown, until

SIZE = (120, 40)
HOST_1 = "host render-1-3990"


def many(count: int) -> tuple[scenes.SupervisorStatus, ...]:
    """One host with ``count`` running workers."""
    workers = tuple(
        scenes.SupervisedWorker(f"render-1-{number}-aa", number, "running", number, 0, "")
        for number in range(1, count + 1)
    )
    return (scenes.supervisor("render-1", workers, worker_range=WorkerCountRange(1, 200)),)


async def opened(pilot: Pilot[int], app: OperatorApp) -> Grid:
    """Opens the screen, and waits for its rows."""
    await pilot.press("5")
    await until(pilot, lambda: isinstance(app.screen, WorkersScreen) and app.view.snapshot is not None)
    await until(
        pilot, lambda: bool(app.screen.query(Grid)) and bool(shown(app.screen.query_one(Grid)).strip())
    )
    return app.screen.query_one(Grid)


async def put(pilot: Pilot[int], grid: Grid, worker: str) -> None:
    """Moves the cursor to the row whose key contains the text."""
    grid.go_to(next(key for key in grid.keys if worker in key and not key.startswith("host")))
    await pilot.pause()


def keys(app: OperatorApp) -> str:
    return shown(app.screen.query_one("#keys"))


async def done(pilot: Pilot[int], executor: FakeExecutor, count: int = 1) -> list[OperatorCommand]:
    await until(pilot, lambda: len(executor.commands) == count)
    return executor.commands


async def test_it_shows_hosts_workers_and_running_jobs() -> None:
    source = FakeSource(scenes.TROUBLED)
    app = make_app(source)
    async with app.run_test(size=SIZE) as pilot:
        grid = await opened(pilot, app)
        await until(pilot, lambda: "lesson-10" in shown(grid))
        text = shown(grid)
        for expected in (
            "render-1",
            "silent 12 s",
            "given up",
            "no heartbeat",
            "without a supervisor",
            "0.0.9",
        ):
            assert expected in text
        assert "1 given up" in str(app.screen.query_one("#table-panel", Panel).border_subtitle)
        assert app.screen.query_one("#detail-panel", Panel).border_title == "render-1-3990"
        await pilot.press("j")
        await until(pilot, lambda: "2 failures, 1 crash" in shown(app.screen.query_one("#detail")))
        assert app.screen.query_one("#detail-panel", Panel).border_title == "render-1-4001-0001"


@pytest.mark.parametrize(("size", "wide"), [((80, 24), False), ((120, 40), False), ((200, 60), True)])
async def test_the_panels_share_the_room(size: tuple[int, int], wide: bool) -> None:
    app = make_app(FakeSource(scenes.TROUBLED))
    async with app.run_test(size=size) as pilot:
        grid = await opened(pilot, app)
        table, detail = (
            app.screen.query_one("#table-panel").region,
            app.screen.query_one("#detail-panel").region,
        )
        assert (detail.x > table.x, detail.y > table.y) == (wide, not wide)
        lines = shown(grid).splitlines()
        assert all(title in lines[0] for title in ("worker", "state", "slots", "version", "jobs"))
        assert ("failed" in lines[0]) == (size[0] > 100)
        # A heading takes the whole width, and is cut before the scroll bar.
        heading = next(line for line in lines if "the reload" in line)
        assert heading.endswith("…")
        assert "PREVIEW_WORKER_CONCURRENCY" in heading


async def test_no_workers_differs_from_a_lost_connection() -> None:
    app = make_app(FakeSource(scenes.EMPTY))
    async with app.run_test(size=(80, 24)) as pilot:
        grid = await opened(pilot, app)
        assert "no workers" in shown(grid)
        assert "previewops supervise" in shown(grid)
        assert not app.screen.query_one("#detail-panel").display
        for key in ("S", "d", "r", "u", "c", "enter"):
            await pilot.press(key)
            assert isinstance(app.screen, WorkersScreen)
    down = make_app(FakeSource(down=True))
    async with down.run_test(size=(80, 24)) as pilot:
        await pilot.press("5")
        await until(
            pilot, lambda: down.view.connection_loss is not None and isinstance(down.screen, WorkersScreen)
        )
        await until(pilot, lambda: "cannot reach the queue" in shown(down.screen.query_one(Grid)))


async def test_rows_stay_when_the_connection_goes_and_the_cursor_stays_with_its_worker() -> None:
    source = FakeSource()
    app = make_app(source)
    async with app.run_test(size=SIZE) as pilot:
        grid = await opened(pilot, app)
        await put(pilot, grid, "4003")
        key = grid.cursor_key
        more = replace(scenes.BUSY, supervisors=(scenes.supervisor("a-host", ()), *scenes.SUPERVISORS))
        await renew(pilot, app, source, more)
        await until(pilot, lambda: "a-host" in shown(grid))
        assert grid.cursor_key == key
        source.down = True
        app.poller.poll_now()
        await until(pilot, lambda: app.view.connection_loss is not None)
        assert "a-host" in shown(grid)
        assert grid.cursor_key == key


async def test_versions_have_a_column_while_they_differ() -> None:
    source = FakeSource()
    app = make_app(source)
    async with app.run_test(size=SIZE) as pilot:
        grid = await opened(pilot, app)
        assert "version" not in shown(grid)
        await renew(pilot, app, source, scenes.TROUBLED)
        await until(pilot, lambda: "version" in shown(grid) and "0.0.9" in shown(grid))
        await renew(pilot, app, source, scenes.BUSY)
        await until(pilot, lambda: "version" not in shown(grid))


async def test_scale_asks_for_a_number_or_a_range_and_rejects_others() -> None:
    executor = FakeExecutor()
    app = make_app(executor=executor)
    async with app.run_test(size=SIZE) as pilot:
        await opened(pilot, app)
        await pilot.press("S")
        await until(pilot, lambda: isinstance(app.screen, PromptDialog))
        field = app.screen.query_one(Input)
        assert field.value == "1-8"
        field.value = "300"
        await pilot.press("enter")
        await until(pilot, lambda: "0 to 256" in str(app.screen.query_one("#rejected").render()))
        field.value = "2-12"
        await pilot.press("enter")
        assert await done(pilot, executor) == [Scale("render-1-3990", WorkerCountRange(2, 12))]


async def test_scale_asks_again_when_several_workers_have_to_go() -> None:
    executor = FakeExecutor()
    app = make_app(executor=executor)
    async with app.run_test(size=SIZE) as pilot:
        await opened(pilot, app)
        for button_id in ("cancel", "confirm"):
            await pilot.press("S")
            await until(pilot, lambda: isinstance(app.screen, PromptDialog))
            app.screen.query_one(Input).value = "0"
            await pilot.press("enter")
            await until(pilot, lambda: isinstance(app.screen, ConfirmDialog))
            assert app.screen.focused is not None
            assert app.screen.focused.id == "cancel"
            assert "2 workers of render-1 will finish their jobs" in shown(app.screen.query_one("#lines"))
            app.screen.query_one(f"#{button_id}", Button).press()
            await until(pilot, lambda: isinstance(app.screen, WorkersScreen))
        assert await done(pilot, executor) == [Scale("render-1-3990", WorkerCountRange(0, 0))]
        # A single surplus worker needs no confirmation, and escape sends no command.
        await pilot.press("S")
        await until(pilot, lambda: isinstance(app.screen, PromptDialog))
        app.screen.query_one(Input).value = "1"
        await pilot.press("enter")
        assert (await done(pilot, executor, 2))[1] == Scale("render-1-3990", WorkerCountRange(1, 1))
        await pilot.press("S")
        await until(pilot, lambda: isinstance(app.screen, PromptDialog))
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(app.screen, WorkersScreen))
        assert len(executor.commands) == 2


@pytest.mark.parametrize(("key", "act"), [("d", "drain"), ("r", "restart")])
async def test_one_worker_is_drained_or_restarted_for_a_reason(key: str, act: str) -> None:
    executor = FakeExecutor()
    app = make_app(executor=executor)
    async with app.run_test(size=SIZE) as pilot:
        grid = await opened(pilot, app)
        await put(pilot, grid, "4001")
        await pilot.press(key)
        await until(pilot, lambda: isinstance(app.screen, PromptDialog))
        assert "2 jobs" in shown(app.screen.query_one("#lines"))
        await pilot.press("o", "l", "d", "enter")
        assert await done(pilot, executor) == [
            FleetActionCommand(act, "render-1-3990", "render-1-4001-0001", "old")
        ]


@pytest.mark.parametrize(("key", "act"), [("d", "drain"), ("r", "restart")])
async def test_a_host_command_is_confirmed(key: str, act: str) -> None:
    executor = FakeExecutor()
    app = make_app(executor=executor)
    async with app.run_test(size=SIZE) as pilot:
        grid = await opened(pilot, app)
        assert grid.cursor_key == HOST_1
        await pilot.press(key)
        await until(pilot, lambda: isinstance(app.screen, ConfirmDialog))
        assert "2 workers of render-1, at 3 jobs now?" in shown(app.screen.query_one("#lines"))
        await pilot.press("enter")  # on Cancel
        await until(pilot, lambda: isinstance(app.screen, WorkersScreen))
        await pilot.press(key)
        await until(pilot, lambda: isinstance(app.screen, ConfirmDialog))
        await pilot.press("right", "enter")
        await until(pilot, lambda: isinstance(app.screen, PromptDialog))
        await pilot.press("n", "o", "w", "enter")
        assert await done(pilot, executor) == [FleetActionCommand(act, "render-1-3990", "", "now")]


async def test_a_large_host_needs_a_typed_word() -> None:
    executor = FakeExecutor()
    app = make_app(FakeSource(replace(scenes.BUSY, supervisors=many(120))), executor)
    async with app.run_test(size=SIZE) as pilot:
        await opened(pilot, app)
        await pilot.press("d")
        await until(pilot, lambda: isinstance(app.screen, ConfirmDialog))
        assert app.screen.query_one("#confirm", Button).disabled
        await pilot.press(*"drain", "enter")
        await until(pilot, lambda: isinstance(app.screen, PromptDialog))
        await pilot.press("enter")
        assert await done(pilot, executor) == [FleetActionCommand("drain", "render-1-3990", "", "")]


async def test_one_reset_needs_no_confirmation_and_several_do() -> None:
    executor = FakeExecutor()
    app = make_app(executor=executor)
    async with app.run_test(size=SIZE) as pilot:
        grid = await opened(pilot, app)
        await put(pilot, grid, "4004")
        await pilot.press("u")
        assert await done(pilot, executor) == [
            FleetActionCommand("reset", "render-2-3990", "render-2-4004-0004", "")
        ]
        grid.go_to("host render-2-3990")
        await pilot.pause()
        await pilot.press("u")
        await until(pilot, lambda: isinstance(app.screen, ConfirmDialog))
        app.screen.query_one("#confirm", Button).press()
        assert (await done(pilot, executor, 2))[1] == FleetActionCommand("reset", "render-2-3990", "", "")


async def test_commands_are_hidden_without_a_supervisor() -> None:
    executor = FakeExecutor()
    app = make_app(FakeSource(scenes.TROUBLED), executor)
    async with app.run_test(size=SIZE) as pilot:
        grid = await opened(pilot, app)
        assert all(word in keys(app) for word in ("Scale", "Drain", "Restart"))
        assert "Reset" not in keys(app)  # all workers run there
        for key in ("alone on render-3", "host render-4-3990"):
            grid.go_to(key)
            await until(pilot, lambda: "Scale" not in keys(app))
            assert not any(word in keys(app) for word in ("Drain", "Restart", "Reset"))
            await pilot.press("S", "d", "r", "u")
            assert isinstance(app.screen, WorkersScreen)
        assert executor.commands == []


async def test_a_read_only_screen_has_no_fleet_commands() -> None:
    executor = FakeExecutor()
    app = make_app(executor=executor, read_only=True)
    async with app.run_test(size=SIZE) as pilot:
        await opened(pilot, app)
        assert not any(word in keys(app) for word in ("Scale", "Drain", "Restart", "Reset", "Pause"))
        assert "Copy id" in keys(app)
        await pilot.press("S", "d", "r", "u")
        assert isinstance(app.screen, WorkersScreen)
        assert not {"scale", "drain", "restart", "reset"} & {
            key_action.action for key_action in app.screen.available_actions()
        }
        assert executor.commands == []


async def test_ids_are_copied_and_jobs_opened_by_key_and_by_mouse() -> None:
    app = make_app()
    jobs: list[str] = []
    app.open_job = jobs.append  # type: ignore[method-assign]
    async with app.run_test(size=SIZE) as pilot:
        grid = await opened(pilot, app)
        await pilot.press("c")
        assert app.clipboard == "render-1-3990"
        await put(pilot, grid, "4003")
        await pilot.press("c", "enter")
        assert app.clipboard == "render-2-4003-0003"
        await until(pilot, lambda: jobs == ["lesson-30"])
        await pilot.click("#detail", offset=(2, 3))
        await until(pilot, lambda: jobs == ["lesson-30", "lesson-31"])
        await put(pilot, grid, "4004")  # has none
        await pilot.press("enter")
        assert "Job" not in keys(app)
        assert len(jobs) == 2


async def test_a_key_in_the_last_line_can_be_clicked() -> None:
    app = make_app()
    async with app.run_test(size=SIZE) as pilot:
        await opened(pilot, app)
        await pilot.click("#keys", offset=(keys(app).index("Scale"), 0))
        await until(pilot, lambda: isinstance(app.screen, PromptDialog))
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(app.screen, WorkersScreen))
        await pilot.click("#keys", offset=(keys(app).index("Pause"), 0))
        await until(pilot, lambda: isinstance(app.screen, PromptDialog))


async def test_a_host_with_markup_is_shown_verbatim() -> None:
    odd = "r[/b][red]1"
    view = replace(scenes.SUPERVISORS[0], state=replace(scenes.SUPERVISORS[0].state, host=odd))
    app = make_app(FakeSource(replace(scenes.BUSY, supervisors=(view,))))
    async with app.run_test(size=SIZE) as pilot:
        await opened(pilot, app)
        for key, title in (("S", f"Scale {odd}"), ("d", f"Drain 2 workers of {odd}")):
            await pilot.press(key)
            await until(pilot, lambda title=title: title in screen_text(app))
            await pilot.press("escape")
            await until(pilot, lambda: isinstance(app.screen, WorkersScreen))


async def test_the_log_of_a_worker_and_why_there_is_none() -> None:
    source = FakeSource(scenes.BUSY)
    worker = scenes.WORKERS[0].worker_id
    source.logs[worker] = (
        '{"event": "job.rendered", "level": "info", "timestamp": "2026-11-24T06:03:01Z"}\nend'
    )
    app = make_app(source)
    async with app.run_test(size=SIZE) as pilot:
        grid = await opened(pilot, app)
        assert "disk 92%" in shown(grid)
        assert "L Log" not in keys(app), "a host has no log"
        await put(pilot, grid, worker)
        assert "L Log" in keys(app)
        await pilot.press("L")
        await until(pilot, lambda: "06:03:01  info     job.rendered" in screen_text(app))
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(app.screen, WorkersScreen))
        source.logs.clear()
        await pilot.press("L")
        await until(pilot, lambda: any("no supervisor has" in toast.message for toast in app._notifications))
