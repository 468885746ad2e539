"""Base classes of the modal screens."""

from __future__ import annotations

from typing import TypeVar

from textual.await_complete import AwaitComplete
from textual.screen import ModalScreen, Screen

from previewops.tui.commands.action_guards import TerminalTooSmall
from previewops.tui.viewmodel.empty_states import is_too_small_to_act

Result = TypeVar("Result")


class DismissOnce(Screen[Result]):
    """Ignores a second dismissal, which would close the screen below."""

    def dismiss(self, result: Result | None = None) -> AwaitComplete:
        """Closes the screen with an answer, unless it is closed already, or the terminal is too small to see it."""
        if result not in (None, False) and self.is_active and is_too_small_to_act(*self.app.size):
            error = TerminalTooSmall(*self.app.size)
            self.app.notify(f"{error.message}\n{error.hint}", title="Not executed", severity="warning")
            return AwaitComplete()
        return super().dismiss(result) if self.is_active else AwaitComplete()


class Modal(ModalScreen[Result], DismissOnce[Result]):
    """A modal screen. The screen below keeps updating."""

    def action_leave(self) -> None:
        self.dismiss(None)
