"""Screens over the screen: each closes once."""

from __future__ import annotations

from typing import TypeVar

from textual.await_complete import AwaitComplete
from textual.screen import ModalScreen, Screen

Answer = TypeVar("Answer")


class DismissOnce(Screen[Answer]):
    """Heeds the first of two that close it: the second would close what is below it."""

    def dismiss(self, result: Answer | None = None) -> AwaitComplete:
        """Closes with an answer, unless it is closed."""
        return super().dismiss(result) if self.is_active else AwaitComplete()


class Modal(ModalScreen[Answer], DismissOnce[Answer]):
    """A screen over the screen in front, which goes on below it."""
