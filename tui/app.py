"""The operator's screen: polls the queue, updates the visible screen and starts operator commands."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from importlib import import_module
from typing import Any, ClassVar, cast

from textual import work
from textual.actions import ActionParseResult
from textual.binding import BindingType
from textual.dom import DOMNode
from textual.screen import Screen
from textual.worker import Worker

from previewops.clock import Clock, SystemClock
from previewops.errors import PreviewopsError
from previewops.tui.commands.action_guards import check_action_guards
from previewops.tui.commands.command_runner import CommandRunner
from previewops.tui.commands.commands import CommandExecutor, OperatorCommand
from previewops.tui.data.error_boundary import with_error_boundary, wrap_errors
from previewops.tui.data.health_poller import HealthPoller
from previewops.tui.data.poller import Poller, SnapshotArrived, SnapshotMissed, SourceRejected
from previewops.tui.key_action import KeyAction, action_name, use_keys
from previewops.tui.key_bindings import bindings
from previewops.tui.keymap import GLOBAL, SCREENS
from previewops.tui.options import Options
from previewops.tui.protocols import DataSource, HealthSource, QueueOpener
from previewops.tui.screens.base import OperatorScreen
from previewops.tui.state.display_state import DisplayState
from previewops.tui.state.queue_view import QueueView
from previewops.tui.terminal.palette import themes
from previewops.tui.terminal_app import DIALOG_GROUP, TerminalApp
from previewops.tui.viewmodel.confirmation import ConfirmationLevel
from previewops.tui.viewmodel.spans import Span

INTERVALS_S = (0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
"""Poll intervals in seconds that the keys + and - step through."""

POLL_GROUP = "poll"
HEALTH_GROUP = "health"
"""Groups of the Textual workers that read the queue."""


def make_screen(mode: str) -> Screen[Any]:
    """Imports the screen on first use: the first frame appears sooner."""
    module = import_module(f"previewops.tui.screens.{mode}.screen")
    return cast("Screen[Any]", getattr(module, f"{mode.capitalize()}Screen")())


async def _close_nothing() -> None: ...


class OperatorApp(TerminalApp):
    """The Textual app. It reads ``source`` and ``health_source`` and passes commands to ``executor``.

    The caller owns all three and closes them. ``queue_opener`` opens other queues to switch to; the switch closes
    the queue before.
    """

    CSS_PATH = "app.tcss"
    BINDINGS: ClassVar[list[BindingType]] = bindings(GLOBAL)
    LEADING_ACTIONS: ClassVar[tuple[KeyAction, ...]] = ()
    """Key actions of every screen that the footer and the help list before the screen's own."""
    TRAILING_ACTIONS: ClassVar[tuple[KeyAction, ...]] = GLOBAL
    READING_GROUPS: ClassVar[tuple[str, ...]] = (POLL_GROUP, HEALTH_GROUP)
    make_screen = staticmethod(make_screen)
    MODES: ClassVar[dict[str, str | Callable[[], Screen[Any]]]] = {
        mode: partial(make_screen, mode) for mode, _ in SCREENS
    }

    def __init__(
        self,
        source: DataSource,
        executor: CommandExecutor,
        options: Options,
        *,
        health_source: HealthSource | None = None,
        clock: Clock | None = None,
        queue_opener: QueueOpener | None = None,
    ) -> None:
        super().__init__(options.theme)
        use_keys(options.keys)
        self.options = options
        self.queue_opener = queue_opener
        self.close_queue: Callable[[], Awaitable[None]] = _close_nothing
        """Closes the connections of the queue that is shown."""
        self.job_id = ""
        self.opened_from = "jobs"
        self.jobs_filter = ""
        """A filter that the list of jobs has to show next."""
        self._clock = clock or SystemClock()
        self.connect(source, executor, health_source, interval_s=options.interval_s)

    def connect(
        self,
        source: DataSource,
        executor: CommandExecutor,
        health_source: HealthSource | None,
        *,
        interval_s: float,
    ) -> None:
        """Makes a queue that of the screen, with an empty view. The options have its name."""
        options = self.options
        self.source = with_error_boundary(source)
        self.command_runner = CommandRunner(self, executor)
        self._health_poller = None if health_source is None else HealthPoller(health_source, self._clock)
        view = QueueView(
            queue_name=options.queue_name,
            address=options.address,
            context=options.context,
            environment=options.environment,
            read_only=options.read_only,
            interval_s=interval_s,
            thresholds=options.thresholds,
            heartbeat_ms=options.heartbeat_ms,
            local_time=options.local_time,
        )
        self.display_state = DisplayState(view, self._clock)
        self.poller = Poller(source, self, self.display_state.snapshot_query, interval_s=interval_s)

    def on_mount(self) -> None:
        if self.options.keys:
            from previewops.tui.preferences.keys import full_keymap

            self.set_keymap(full_keymap(self.options.keys))
        self.switch_mode("overview")
        if self.options.notes:
            self.notify("\n".join(self.options.notes), title="settings file", severity="warning", timeout=15)
        self.start_polling()
        self.handle_signals()

    def start_polling(self) -> None:
        self.run_poller()
        self.set_interval(1.0, self._update_age, name="age")

    def run_poller(self) -> None:
        self.run_worker(self.poller.run(), name="poll", group=POLL_GROUP)

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
        if message.poller in (None, self.poller):
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
        if message.poller in (None, self.poller):
            self.show_missed(message)

    def on_source_rejected(self, message: SourceRejected) -> None:
        """Ends the screen. The caller reports the failure."""
        if message.poller not in (None, self.poller):
            return
        self.failure = message.error
        self.exit(1)

    def show_missed(self, message: SnapshotMissed) -> None:
        """Marks the view as stale after a failed poll, with the reason, and redraws."""
        self.display_state.record_failure(message.reason, message.tries)
        self.redraw()

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

    # Without a description Textual would write one with the whole snapshot in it.
    @work(group=HEALTH_GROUP, description="health")
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
        """Whether the action is hidden: it cannot do anything here, or changes something on a read-only screen."""
        if (action == "next_theme" and self.no_color) or (action == "choose_queue" and not self.queue_opener):
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
        front = self.front_screen
        if self.is_forbidden(action) or (front is not None and not front.can_use_filters(action)):
            return False
        return super().check_action(action, parameters)

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

    # -- queues and saved filters ----------------------------------------------------------------------------------

    @work(group=DIALOG_GROUP)
    async def action_choose_queue(self) -> None:
        from previewops.tui.screens.dialogs.queues import choose_queue

        await choose_queue(self)

    @work(group=DIALOG_GROUP)
    async def action_choose_filter(self) -> None:
        from previewops.tui.screens.dialogs.saved_filters import choose_saved_filter

        await choose_saved_filter(self)

    @work(group=DIALOG_GROUP)
    async def action_save_filter(self) -> None:
        from previewops.tui.screens.dialogs.saved_filters import save_filter

        await save_filter(self)

    # -- navigation -------------------------------------------------------------------------------------

    def action_show(self, mode: str) -> None:
        if isinstance(self.screen, OperatorScreen) and mode != self.current_mode:
            self.switch_mode(mode)

    def open_job(self, job_id: str) -> None:
        """Opens the detail screen of one job."""
        self.job_id = job_id
        self.opened_from = self.current_mode
        self.action_show("job")

    def open_jobs(self, filter_text: str) -> None:
        """Opens the list of jobs with a filter."""
        self.jobs_filter = filter_text
        if self.current_mode == "jobs":
            self.redraw()
        else:
            self.action_show("jobs")

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

    def action_local_time(self) -> None:
        self.display_state.toggle_local_time()
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
