"""The operator's screen: polls the queue, updates the visible screen and starts operator commands."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Mapping
from functools import partial
from importlib import import_module
from typing import Any, ClassVar, cast
from weakref import WeakSet

from rich.console import RenderableType
from textual import work
from textual.actions import ActionParseResult
from textual.app import App
from textual.binding import BindingType
from textual.dom import DOMNode
from textual.events import Event, Key, Paste
from textual.filter import Monochrome, NoColor
from textual.notifications import SeverityLevel
from textual.screen import ModalScreen, Screen
from textual.worker import Worker, get_current_worker

from previewops.clock import Clock, SystemClock
from previewops.errors import PreviewopsError
from previewops.formatting import clean
from previewops.process.inherited_signals import add_hangup_handler
from previewops.tui.commands.action_guards import check_action_guards
from previewops.tui.commands.command_runner import CommandRunner
from previewops.tui.commands.commands import CommandExecutor, OperatorCommand
from previewops.tui.data.error_boundary import with_error_boundary, wrap_errors
from previewops.tui.data.health_poller import HealthPoller
from previewops.tui.data.poller import Poller, SnapshotArrived, SnapshotMissed, SourceRejected
from previewops.tui.key_bindings import bindings
from previewops.tui.keymap import GLOBAL, SCREENS, KeyAction, action_name
from previewops.tui.options import Options
from previewops.tui.protocols import DataSource, HealthSource
from previewops.tui.screens.base import OperatorScreen
from previewops.tui.state.display_state import DisplayState
from previewops.tui.state.queue_view import QueueView
from previewops.tui.terminal.hangup import hang_up, terminal_is_gone
from previewops.tui.terminal.key_queue import KeyQueue
from previewops.tui.terminal.palette import NO_COLOR_THEME, themes
from previewops.tui.viewmodel.confirmation import ConfirmationLevel
from previewops.tui.viewmodel.spans import Span

INTERVALS_S = (0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
"""Poll intervals in seconds that the keys + and - step through."""

SWITCH_S = 0.01
"""Delay in seconds before a newly shown screen is painted."""

DIALOG_GROUP = "ask"
"""Group of the Textual workers that open a dialog before they act."""


def _make_screen(mode: str) -> Screen[Any]:
    """Imports the screen on first use: the first frame appears sooner."""
    module = import_module(f"previewops.tui.screens.{mode}.screen")
    return cast("Screen[Any]", getattr(module, f"{mode.capitalize()}Screen")())


class OperatorApp(App[int]):
    """The Textual app. It reads ``source`` and ``health_source`` and passes commands to ``executor``.

    The caller owns all three and closes them.
    """

    CSS_PATH = "app.tcss"
    TITLE = "previewops"
    ALLOW_SELECT = False  # a selection would take ctrl+c, which quits; terminals select with shift
    ENABLE_COMMAND_PALETTE = False  # its entries come from the keymap
    BINDINGS: ClassVar[list[BindingType]] = bindings(GLOBAL)
    LEADING_ACTIONS: ClassVar[tuple[KeyAction, ...]] = ()
    """Key actions of every screen that the footer and the help list before the screen's own."""
    TRAILING_ACTIONS: ClassVar[tuple[KeyAction, ...]] = GLOBAL
    MODES: ClassVar[dict[str, str | Callable[[], Screen[Any]]]] = {
        mode: partial(_make_screen, mode) for mode, _ in SCREENS
    }

    def __init__(
        self,
        source: DataSource,
        executor: CommandExecutor,
        options: Options,
        *,
        health_source: HealthSource | None = None,
        clock: Clock | None = None,
    ) -> None:
        super().__init__()
        for theme in themes():
            self.register_theme(theme)
        self.theme = options.theme
        if self.no_color:
            # Textual would turn colours into 24-bit greys, and the terminal's own colours into black on black.
            self.theme = NO_COLOR_THEME
            self._filters = [kept for kept in self._filters if not isinstance(kept, Monochrome)] + [NoColor()]
        self.source = with_error_boundary(source)
        self.options = options
        self.job_id = ""
        self.opened_from = "jobs"
        self.job_search = ""
        self.command_runner = CommandRunner(self, executor)
        self._clock = clock or SystemClock()
        self._health_poller = None if health_source is None else HealthPoller(health_source, self._clock)
        self._answered: WeakSet[Worker[Any]] = WeakSet()
        """Workers whose dialog has been answered and that now act on the answer."""
        self._key_queue = KeyQueue(self, super().on_event, self._dialog_is_opening)
        self.exiting = False
        self.failure: Exception | None = None
        """The exception that ended the screen, if it was an internal error."""
        view = QueueView(
            queue_name=options.queue_name,
            environment=options.environment,
            read_only=options.read_only,
            interval_s=options.interval_s,
            thresholds=options.thresholds,
            heartbeat_ms=options.heartbeat_ms,
        )
        self.display_state = DisplayState(view, self._clock)
        self.poller = Poller(source, self, self.display_state.snapshot_query, interval_s=options.interval_s)

    def on_mount(self) -> None:
        self.switch_mode("overview")
        self.start_polling()
        if not self.is_headless:
            self._handle_signals()

    def start_polling(self) -> None:
        self.run_worker(self.poller.run(), name="poll", group="poll")
        self.set_interval(1.0, self._update_age, name="age")

    def exit(
        self, result: int | None = None, return_code: int = 0, message: RenderableType | None = None
    ) -> None:
        # From now on Textual removes widgets one by one: nothing is drawn any more.
        self.exiting = True
        super().exit(result, return_code, message)

    def _handle_signals(self) -> None:
        """Ends the screen on hang-up (SIGHUP or a lost terminal); restores the terminal on SIGTERM."""
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, self.exit, 0)
        add_hangup_handler(loop, hang_up, self.exit)
        self.set_interval(1.0, self._check_terminal, name="terminal")

    def _check_terminal(self) -> None:
        if terminal_is_gone() and not self.exiting:
            hang_up(self.exit)

    # -- snapshots --------------------------------------------------------------------------------------

    @property
    def view(self) -> QueueView:
        return self.display_state.shown

    @property
    def front_screen(self) -> OperatorScreen | None:
        """The visible operator screen, dialogs aside."""
        stack = reversed(self.screen_stack)
        return next((screen for screen in stack if isinstance(screen, OperatorScreen)), None)

    def on_snapshot_arrived(self, message: SnapshotArrived) -> None:
        self.show_snapshot(message)

    def show_snapshot(self, message: SnapshotArrived) -> None:
        """Adds a new snapshot to the view and redraws."""
        if self.display_state.add_snapshot(message.snapshot):
            self.notify("The display is live again.", title="connected")
        self.redraw()
        front = self.front_screen
        often = front is not None and front.MODE == "health"
        if self._health_poller is not None and self._health_poller.try_start(often=often):
            self._fetch_health(self._health_poller, message)

    def on_snapshot_missed(self, message: SnapshotMissed) -> None:
        self.show_missed(message)

    def on_source_rejected(self, message: SourceRejected) -> None:
        """Ends the screen. The caller reports the failure."""
        self.failure = message.error
        self.exit(1)

    def show_missed(self, message: SnapshotMissed) -> None:
        """Marks the view as stale after a failed poll, with the reason, and redraws."""
        self.display_state.record_failure(message.reason, message.tries)
        self.redraw()

    def notify(
        self,
        message: str,
        *,
        title: str = "",
        severity: SeverityLevel = "information",
        timeout: float | None = None,
        markup: bool = False,
    ) -> None:
        """Shows a toast, one row per line of ``message``. The text may be untrusted: ``markup`` is always off."""
        lines = "\n".join(map(clean, message.split("\n")))
        super().notify(lines, title=clean(title), severity=severity, timeout=timeout, markup=False)

    def _handle_exception(self, error: Exception) -> None:
        # Textual would print the locals of every frame. The caller of the screen reports the failure instead.
        if self.is_headless:
            super()._handle_exception(error)
        else:
            self.failure = self.failure or error
            self.exit(1)

    def _update_age(self) -> None:
        if self.display_state.update_age():
            self.redraw()

    def redraw(self) -> None:
        """Draws the view on the visible screen."""
        front = self.front_screen
        # A snapshot may arrive while the screens are being removed.
        if front is not None and front.is_mounted and self.is_running:
            with self.batch_update():
                front.show_view(self.view)

    @work(group="health")
    async def _fetch_health(self, poller: HealthPoller, message: SnapshotArrived) -> None:
        try:
            with wrap_errors():
                health = await poller.fetch(message.snapshot, self.display_state.live.history)
        except PreviewopsError as error:  # the next snapshot reports the connection error
            self.log.warning(f"health: {error.message}")
            return
        self.display_state.set_health(health)
        self.redraw()

    # -- which actions are available --------------------------------------------------------------------

    def is_forbidden(self, action: str) -> bool:
        """Whether the action is hidden: it changes something on a read-only screen, or colours under NO_COLOR."""
        if action == "next_theme" and self.no_color:
            return True
        return self.options.read_only and action in self.mutating_actions()

    def is_allowed(self, screen: Screen[Any], action: str) -> bool:
        """Whether the action is available on that screen now."""
        return bool(screen.check_action(action, ()))

    def mutating_actions(self) -> set[str]:
        """Names of the actions that change the queue or the fleet: global ones and those of the visible screen."""
        front = self.front_screen
        key_actions = (*GLOBAL, *(front.KEY_ACTIONS if front is not None else ()))
        return {action_name(key_action) for key_action in key_actions if key_action.mutates}

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        return False if self.is_forbidden(action) else super().check_action(action, parameters)

    async def run_action(
        self,
        action: str | ActionParseResult,
        default_namespace: DOMNode | None = None,
        namespaces: Mapping[str, DOMNode] | None = None,
    ) -> bool:
        """Runs the action, or shows a warning when a guard blocks it (connection lost, terminal too small)."""
        reason = check_action_guards(self, action) if isinstance(action, str) else None
        if reason is None:
            return await super().run_action(action, default_namespace, namespaces)
        self.notify(f"{reason.message}\n{reason.hint}", title="Not executed", severity="warning")
        return True

    async def on_event(self, event: Event) -> None:
        if isinstance(event, (Key, Paste)) and not event.is_forwarded:
            self._key_queue.put(event)
        else:
            await super().on_event(event)

    def _dialog_is_opening(self) -> bool:
        """Whether a worker is about to open a dialog, its first or the next one."""
        return not isinstance(self.screen, ModalScreen) and any(
            worker.group == DIALOG_GROUP and not worker.is_finished and worker not in self._answered
            for worker in self.workers
        )

    async def show_dialog(self, dialog: Screen[Any]) -> Any:
        """Opens a dialog and returns its answer. Call it from a worker of the group ``DIALOG_GROUP``."""
        worker = get_current_worker()
        self._answered.discard(worker)
        try:
            return await self.push_screen_wait(dialog)
        finally:
            self._answered.add(worker)

    # -- commands ---------------------------------------------------------------------------------------

    def start_command(self, command: OperatorCommand) -> Worker[None]:
        """Runs a command in the background. A toast reports its result; a new snapshot is read at once."""
        return self.command_runner.start(command)

    def action_cancel_command(self) -> None:
        self.command_runner.cancel_shown()

    @work(group=DIALOG_GROUP)
    async def action_pause(self) -> None:
        snapshot = self.view.snapshot
        if snapshot is None:
            return
        from previewops.tui.screens.dialogs.pause import ask_to_pause

        command = await ask_to_pause(self, snapshot)
        if command is not None:
            self.start_command(command)

    # -- navigation -------------------------------------------------------------------------------------

    def action_show(self, mode: str) -> None:
        if isinstance(self.screen, OperatorScreen) and mode != self.current_mode:
            self.switch_mode(mode)

    def delay_update(self, delay: float = SWITCH_S) -> None:
        # Textual hides each change of screens for 50 ms; these are drawn completely when they are shown.
        super().delay_update(delay)

    def search_jobs(self, text: str) -> None:
        """Lists the jobs that match a filter, among all jobs."""
        self.job_search = text
        if self.current_mode == "jobs":
            self.redraw()
        else:
            self.action_show("jobs")

    def open_job(self, job_id: str) -> None:
        """Opens the detail screen of one job."""
        self.job_id = job_id
        self.opened_from = self.current_mode
        self.action_show("job")

    def action_freeze(self) -> None:
        self.display_state.toggle_freeze()
        self.redraw()

    def action_faster(self) -> None:
        self._pace(-1)

    def action_slower(self) -> None:
        self._pace(1)

    def _pace(self, step: int) -> None:
        nearest = min(range(len(INTERVALS_S)), key=lambda at: abs(INTERVALS_S[at] - self.poller.interval_s))
        self.poller.interval_s = INTERVALS_S[min(max(0, nearest + step), len(INTERVALS_S) - 1)]
        self.display_state.set_poll_interval(self.poller.interval_s)
        self.redraw()

    def action_next_theme(self) -> None:
        names = [theme.name for theme in themes()]
        self.theme = names[(names.index(self.theme) + 1) % len(names)]

    async def action_back(self) -> None:
        if not self._restored() and self.front_screen is not None:
            self.front_screen.back()

    def action_enlarge(self) -> None:
        if self.front_screen is not None:
            self.front_screen.maximize_next_panel()

    def _restored(self) -> bool:
        front = self.front_screen
        if front is None or front.maximized is None:
            return False
        front.minimize()
        return True

    def action_help(self) -> None:
        from previewops.tui.screens.help.screen import HelpScreen

        front = self.front_screen
        if front is not None and self.screen is front:
            self.push_screen(HelpScreen(front.MODE, front.all_actions(), front.available_actions()))

    def action_commands(self) -> None:
        from previewops.tui.screens.command_palette import open_action_palette

        if self.front_screen is not None and self.screen is self.front_screen:
            open_action_palette(self)

    async def action_quit(self) -> None:
        if self.options.leaving:
            self._confirm_leaving()
        else:
            self.exit(0)

    @work(group=DIALOG_GROUP, exclusive=True)
    async def _confirm_leaving(self) -> None:
        from previewops.tui.screens.dialogs.confirm import ConfirmDialog

        lines = [
            (Span(self.options.leaving),),
            (Span("Running jobs may finish. The others keep waiting; none is lost."),),
        ]
        dialog = ConfirmDialog("Leave", lines, verb="leave", level=ConfirmationLevel.DIALOG)
        if await self.show_dialog(dialog):
            self.exit(0)
