"""Runs operator commands in the background, each in a Textual worker, and reports each result in a toast."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from textual.worker import Worker, get_current_worker

from previewops.errors import PreviewopsError, RedisUnavailable
from previewops.tui.commands.commands import CommandExecutor, NotConnected, OperatorCommand
from previewops.tui.data.error_boundary import wrap_errors
from previewops.tui.viewmodel.command_progress import describe_command

if TYPE_CHECKING:
    from textual.notifications import SeverityLevel

    from previewops.tui.app import OperatorApp

GROUP = "commands"
"""Group of the workers that execute commands."""

SHOW_AFTER_S = 0.1
"""Progress is shown for commands that take longer than this, in seconds."""


@dataclass(slots=True)
class RunningCommand:
    """A running command: ``name`` describes it; ``done`` and ``total`` are 0 until it reports progress.

    ``stopped`` is set when the operator cancels it.
    """

    name: str
    done: int = 0
    total: int = 0
    stopped: bool = False

    @property
    def progress(self) -> str:
        return f"{self.done:,} of {self.total:,}"

    @property
    def summary(self) -> str:
        """The description, with the progress once it is reported."""
        return f"{self.name}: {self.progress}" if self.total else f"{self.name} …"


class CommandRunner:
    """Runs commands on an executor. Shows the progress of the foremost one in ``app``, and the result of each."""

    def __init__(self, app: OperatorApp, executor: CommandExecutor) -> None:
        self._app = app
        self._executor = executor
        self._under_way: dict[Worker[None], RunningCommand] = {}

    def start(self, command: OperatorCommand) -> Worker[None]:
        """Starts a command in the background. It fails with ``NotConnected`` while the connection is lost."""
        return self._app.run_worker(self._run(command), name=type(command).__name__, group=GROUP)

    @property
    def is_running(self) -> bool:
        """Whether a command is under way."""
        return bool(self._under_way)

    def cancel_shown(self) -> None:
        """Cancels the foremost command, which is the one whose progress is shown."""
        worker = self._shown_command()
        if worker is not None:
            self._under_way[worker].stopped = True
            worker.cancel()

    def _shown_command(self) -> Worker[None] | None:
        """The latest command that has reported progress, or else the latest one."""
        active = [worker for worker, running in self._under_way.items() if not running.stopped]
        with_progress = [worker for worker in active if self._under_way[worker].total]
        return next(reversed(with_progress or active), None)

    async def _run(self, command: OperatorCommand) -> None:
        worker: Worker[None] = get_current_worker()
        running = self._under_way[worker] = RunningCommand(describe_command(command))
        self._app.set_timer(SHOW_AFTER_S, self._show)

        async def progress(done: int, total: int) -> None:
            running.done, running.total = done, total
            self._show()

        try:
            if self._app.display_state.live.connection_loss is not None:
                raise NotConnected
            with wrap_errors():
                outcome = await self._executor.execute(command, progress)
        except RedisUnavailable as error:
            message = f"{error.message}\nThe command may have been executed. Check before you repeat it."
            self._app.notify(message, title=f"No reply: {running.name}", severity="error", timeout=10)
        except PreviewopsError as error:
            message = f"{error.message}\n{error.hint}" if error.hint else error.message
            self._app.notify(message, title=f"Failed: {running.name}", severity="error", timeout=10)
        except asyncio.CancelledError:
            if running.stopped:  # and not by the end of the screen
                self._app.notify(_stopped(running), title="stopped", severity="warning", timeout=10)
            raise
        else:
            severity: SeverityLevel = "information" if outcome.complete else "warning"
            self._app.notify(outcome.message, title="done", severity=severity)
        finally:
            del self._under_way[worker]
            self._app.poller.poll_now()
            self._show()

    def _show(self) -> None:
        worker = self._shown_command()
        summary = ""
        if worker is not None:
            others = len(self._under_way) - 1
            summary = self._under_way[worker].summary + (f", and {others} more running" if others else "")
        self._app.display_state.set_running_command(summary)
        self._app.redraw()


def _stopped(running: RunningCommand) -> str:
    if not running.total:
        return f"{running.name}: no progress was reported. A batch already sent may have been executed."
    return f"{running.name}: {running.progress} done. A batch already sent may have been executed as well."
