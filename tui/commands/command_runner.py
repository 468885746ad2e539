"""What is being carried out for the operator: each intent in a worker of its own, its end a toast."""

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

GROUP = "acts"
"""The group of the workers that carry intents out."""

TELL_AFTER_S = 0.1
"""An act that is done sooner is told of by its end alone, and the screen does not move for it."""


@dataclass(slots=True)
class RunningCommand:
    """One intent under way: its ``name`` in words, and what it has told of ``done`` and ``total``, 0 before that.

    ``stopped`` tells that the operator has had enough of it.
    """

    name: str
    done: int = 0
    total: int = 0
    stopped: bool = False

    @property
    def progress(self) -> str:
        """How far it is."""
        return f"{self.done:,} of {self.total:,}"

    @property
    def summary(self) -> str:
        """What it is and how far it is, if that is known."""
        return f"{self.name}: {self.progress}" if self.total else f"{self.name} …"


class CommandRunner:
    """Carries intents out by a desk. ``app`` shows how far the foremost one is, and how each has ended."""

    def __init__(self, app: OperatorApp, desk: CommandExecutor) -> None:
        self._app = app
        self._desk = desk
        self._under_way: dict[Worker[None], RunningCommand] = {}

    def start(self, intent: OperatorCommand) -> Worker[None]:
        """Has an intent carried out in the background. It is refused while nobody answers."""
        return self._app.run_worker(self._run(intent), name=type(intent).__name__, group=GROUP)

    def cancel_foremost(self) -> None:
        """Stops the foremost one: what the operator sees is what is stopped."""
        worker = self._foremost()
        if worker is not None:
            self._under_way[worker].stopped = True
            worker.cancel()

    def _foremost(self) -> Worker[None] | None:
        """The latest of those that have told how far they are, or else the latest."""
        going = [worker for worker, errand in self._under_way.items() if not errand.stopped]
        telling = [worker for worker in going if self._under_way[worker].total]
        return next(reversed(telling or going), None)

    async def _run(self, intent: OperatorCommand) -> None:
        worker: Worker[None] = get_current_worker()
        errand = self._under_way[worker] = RunningCommand(describe_command(intent))
        self._app.set_timer(TELL_AFTER_S, self._show)

        async def progress(done: int, total: int) -> None:
            errand.done, errand.total = done, total
            self._show()

        try:
            if self._app.display_state.live.lost is not None:
                raise NotConnected
            with wrap_errors():
                outcome = await self._desk.execute(intent, progress)
        except RedisUnavailable as error:
            words = f"{error.message}\nIf it had been sent it may be done all the same: look before you repeat it."
            self._app.notify(words, title=f"no answer: {errand.name}", severity="error", timeout=10)
        except PreviewopsError as error:
            words = f"{error.message}\n{error.hint}" if error.hint else error.message
            self._app.notify(words, title=f"not done: {errand.name}", severity="error", timeout=10)
        except asyncio.CancelledError:
            if errand.stopped:  # and not by the end of the screen
                self._app.notify(_stopped(errand), title="stopped", severity="warning", timeout=10)
            raise
        else:
            severity: SeverityLevel = "information" if outcome.complete else "warning"
            self._app.notify(outcome.message, title="done", severity=severity)
        finally:
            del self._under_way[worker]
            self._app.poller.poll_now()
            self._show()

    def _show(self) -> None:
        """Tells how far the foremost one is, and of how many others there are beside it."""
        worker = self._foremost()
        words = ""
        if worker is not None:
            others = len(self._under_way) - 1
            words = self._under_way[worker].summary + (f", and {others} more at work" if others else "")
        self._app.display_state.set_running_command(words)
        self._app.redraw()


def _stopped(errand: RunningCommand) -> str:
    if not errand.total:
        return f"{errand.name}: none is known to be done; what had been sent by then may be."
    return f"{errand.name}: {errand.progress} done; a batch that had been sent by then may be done as well."
