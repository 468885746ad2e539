"""Base class of the app: what concerns the terminal, keys, dialogs and failures, and not the queue."""

from __future__ import annotations

import asyncio
import signal
from typing import Any
from weakref import WeakSet

from rich.console import RenderableType
from textual.app import App
from textual.events import Event, Key, Paste
from textual.filter import Monochrome, NoColor
from textual.notifications import SeverityLevel
from textual.screen import ModalScreen, Screen
from textual.worker import Worker, get_current_worker

from previewops.formatting import clean
from previewops.process.inherited_signals import add_hangup_handler
from previewops.tui.terminal.hangup import hang_up, terminal_is_gone
from previewops.tui.terminal.key_queue import KeyQueue
from previewops.tui.terminal.palette import NO_COLOR_THEME, themes

SWITCH_S = 0.01
"""Delay in seconds before a newly shown screen is painted."""

DIALOG_GROUP = "ask"
"""Group of the Textual workers that open a dialog before they act."""


class TerminalApp(App[int]):
    """A Textual app in a terminal that may have few colours, be slow, or disappear."""

    TITLE = "previewops"
    ALLOW_SELECT = False  # a selection would take ctrl+c, which quits; terminals select with shift
    ENABLE_COMMAND_PALETTE = False  # its entries come from the keymap

    def __init__(self, theme: str) -> None:
        super().__init__()
        for known in themes():
            self.register_theme(known)
        self.theme = theme
        if self.no_color:
            # Textual would turn colours into 24-bit greys, and the terminal's own colours into black on black.
            self.theme = NO_COLOR_THEME
            self._filters = [kept for kept in self._filters if not isinstance(kept, Monochrome)] + [NoColor()]
        self._answered: WeakSet[Worker[Any]] = WeakSet()
        """Workers whose dialog has been answered and that now act on the answer."""
        self._key_queue = KeyQueue(self, super().on_event, self._dialog_is_opening)
        self.exiting = False
        self.failure: Exception | None = None
        """The exception that ended the screen, if it was an internal error."""

    # -- the end ----------------------------------------------------------------------------------------

    def exit(
        self, result: int | None = None, return_code: int = 0, message: RenderableType | None = None
    ) -> None:
        # From now on Textual removes widgets one by one: nothing is drawn any more.
        self.exiting = True
        super().exit(result, return_code, message)

    def handle_signals(self) -> None:
        """Ends the screen on hang-up (SIGHUP or a lost terminal); restores the terminal on SIGTERM."""
        if self.is_headless:
            return
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, self.exit, 0)
        add_hangup_handler(loop, hang_up, self.exit)
        self.set_interval(1.0, self._check_terminal, name="terminal")

    def _check_terminal(self) -> None:
        if terminal_is_gone() and not self.exiting:
            hang_up(self.exit)

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

    # -- keys and dialogs -------------------------------------------------------------------------------

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

    def delay_update(self, delay: float = SWITCH_S) -> None:
        # Textual hides each change of screens for 50 ms; these are drawn completely when they are shown.
        super().delay_update(delay)
