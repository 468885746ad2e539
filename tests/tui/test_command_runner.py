"""Commands that run at the same time: their progress, and cancelling them."""

from __future__ import annotations

import asyncio

from textual.pilot import Pilot

from previewops.errors import RedisUnavailable
from previewops.queue.dead_letter_filter import DeadLetterFilter
from previewops.tui.app import OperatorApp
from previewops.tui.commands.commands import (
    Cancel,
    CommandOutcome,
    CommandProgress,
    Discard,
    OperatorCommand,
    Pause,
    Requeue,
)
from previewops.tui.screens.dialogs.dialog import Dialog
from tests.tui.screen_support import FakeExecutor, FakeSource, make_app, screen_text, until

SIZE = (120, 40)
REQUEUE = Requeue(DeadLetterFilter(), 900)
DISCARD = Discard(DeadLetterFilter(), 50)


class BatchExecutor(FakeExecutor):
    """Executes a batch per call of ``let``, and ends a command with ``end``."""

    def __init__(self) -> None:
        super().__init__()
        self._orders: dict[OperatorCommand, asyncio.Queue[tuple[int, int] | None]] = {}

    def let(self, command: OperatorCommand, done: int, total: int) -> None:
        self._orders[command].put_nowait((done, total))

    def end(self, command: OperatorCommand) -> None:
        self._orders[command].put_nowait(None)

    async def execute(self, command: OperatorCommand, progress: CommandProgress) -> CommandOutcome:
        orders = self._orders[command] = asyncio.Queue()
        self.commands.append(command)
        while (order := await orders.get()) is not None:
            await progress(*order)
        return CommandOutcome(f"{type(command).__name__} has ended")


async def begun(
    pilot: Pilot[int], app: OperatorApp, executor: BatchExecutor, *commands: OperatorCommand
) -> None:
    await until(pilot, lambda: app.view.snapshot is not None)
    for command in commands:
        app.start_command(command)
        await until(pilot, lambda command=command: command in executor.commands)  # type: ignore[misc]


def progress(app: OperatorApp) -> str:
    return app.view.running_command


async def test_when_one_command_ends_the_other_is_shown() -> None:
    executor = BatchExecutor()
    app = make_app(executor=executor)
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        await begun(pilot, app, executor, REQUEUE, DISCARD)
        await until(pilot, lambda: progress(app) == "discarding 50 dead letters …, and 1 more running")
        executor.let(REQUEUE, 100, 900)
        await until(
            pilot, lambda: progress(app) == "requeueing 900 dead letters: 100 of 900, and 1 more running"
        )
        executor.let(DISCARD, 10, 50)
        await until(
            pilot, lambda: progress(app) == "discarding 50 dead letters: 10 of 50, and 1 more running"
        )
        executor.let(REQUEUE, 200, 900)
        executor.end(DISCARD)
        await until(pilot, lambda: "Discard has ended" in screen_text(app))
        assert progress(app) == "requeueing 900 dead letters: 200 of 900"
        assert "requeueing 900 dead letters: 200 of 900" in screen_text(app)
        executor.end(REQUEUE)
        await until(pilot, lambda: "Requeue has ended" in screen_text(app))
        assert progress(app) == ""


async def test_only_the_foremost_command_is_cancelled() -> None:
    executor = BatchExecutor()
    app = make_app(executor=executor)
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        await begun(pilot, app, executor, REQUEUE, DISCARD, Pause("quick"))
        executor.let(REQUEUE, 100, 900)
        executor.let(DISCARD, 10, 50)
        await until(
            pilot, lambda: progress(app) == "discarding 50 dead letters: 10 of 50, and 2 more running"
        )
        await pilot.press("ctrl+x")
        await until(pilot, lambda: "stopped" in screen_text(app))
        assert "discarding 50 dead letters: 10 of 50 done" in screen_text(app)
        assert progress(app) == "requeueing 900 dead letters: 100 of 900, and 1 more running"
        await pilot.press("ctrl+x")
        await until(pilot, lambda: "requeueing 900 dead letters: 100 of 900 done" in screen_text(app))
        assert progress(app) == "pausing the queue …"
        executor.end(Pause("quick"))
        await until(pilot, lambda: "Pause has ended" in screen_text(app))
        assert "Requeue has ended" not in screen_text(app)


async def test_a_command_without_progress_can_be_cancelled() -> None:
    executor = BatchExecutor()
    app = make_app(executor=executor)
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        await begun(pilot, app, executor, Cancel(("a", "b")))
        await pilot.press("ctrl+x")
        await until(pilot, lambda: "cancelling 2 jobs: no progress was reported" in screen_text(app))


async def test_quitting_does_not_report_cancelled_commands() -> None:
    executor = BatchExecutor()
    app = make_app(executor=executor)
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        await begun(pilot, app, executor, REQUEUE)
        messages: list[str] = []
        app.notify = lambda message, **_: messages.append(message)  # type: ignore[method-assign,assignment]
    assert messages == []


async def test_a_running_command_is_shown_before_its_first_progress() -> None:
    executor = BatchExecutor()
    app = make_app(executor=executor)
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        await begun(pilot, app, executor, Pause("disks"))
        await until(pilot, lambda: "pausing the queue …" in screen_text(app))
        executor.end(Pause("disks"))
        await until(pilot, lambda: "Pause has ended" in screen_text(app))
        assert progress(app) == ""


async def test_redis_unavailable_reports_that_the_command_may_be_executed() -> None:
    class Deaf(FakeExecutor):
        async def execute(self, command: OperatorCommand, progress: CommandProgress) -> CommandOutcome:
            raise RedisUnavailable("redis://127.0.0.1:6379", "it did not answer in time")

    app = make_app(executor=Deaf())
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        await until(pilot, lambda: app.view.snapshot is not None)
        app.start_command(Pause("x"))
        await until(pilot, lambda: "No reply: pausing the queue" in screen_text(app))
        assert "may have been executed" in screen_text(app)


async def test_commands_are_rejected_while_disconnected() -> None:
    source, executor = FakeSource(), FakeExecutor()
    app = make_app(source, executor)
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        await until(pilot, lambda: app.view.snapshot is not None)
        await pilot.press("p")
        await until(pilot, lambda: isinstance(app.screen, Dialog))
        source.down = True
        app.poller.poll_now()
        await until(pilot, lambda: app.view.connection_loss is not None)
        await pilot.press("x", "enter")  # a command confirmed after the connection loss is rejected
        await until(pilot, lambda: "Failed: pausing the queue" in screen_text(app))
        app.clear_notifications()
        await until(pilot, lambda: "Not executed" not in screen_text(app))
        await pilot.press("p")
        await until(pilot, lambda: "Redis does not answer: not executed" in screen_text(app))
        assert not isinstance(app.screen, Dialog)
        source.down = False
        app.poller.poll_now()
        await until(pilot, lambda: app.view.connection_loss is None)
        await pilot.press("p")
        await until(pilot, lambda: isinstance(app.screen, Dialog))
    assert executor.commands == []
