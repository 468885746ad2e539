"""Base classes of the modal screens."""

from __future__ import annotations

from typing import TypeVar

from textual.await_complete import AwaitComplete
from textual.screen import ModalScreen, Screen

Result = TypeVar("Result")


class DismissOnce(Screen[Result]):
    """Ignores a second dismissal, which would close the screen below."""

    def dismiss(self, result: Result | None = None) -> AwaitComplete:
        """Closes the screen with a result, unless it is closed already."""
        return super().dismiss(result) if self.is_active else AwaitComplete()


class Modal(ModalScreen[Result], DismissOnce[Result]):
    """A modal screen. The screen below keeps updating."""

    def action_leave(self) -> None:
        self.dismiss(None)
