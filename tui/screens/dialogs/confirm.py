"""Confirmation dialogs. The more jobs are affected, the harder they are to confirm."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.widgets import Button, Input, Label

from previewops.tui.screens.dialogs.dialog import Dialog
from previewops.tui.viewmodel.confirmation import ConfirmationLevel
from previewops.tui.viewmodel.spans import Line

Result = TypeVar("Result")


class BaseConfirmDialog(Dialog[Result]):
    """A confirmation: Cancel has the focus, and with ``ConfirmationLevel.WORD`` the verb must be typed."""

    def __init__(
        self,
        title: str,
        lines: Sequence[Line],
        *,
        verb: str,
        level: ConfirmationLevel,
        dangerous: bool = True,
    ) -> None:
        self._must_type_verb = level is ConfirmationLevel.WORD
        super().__init__(title, lines, verb=verb, dangerous=dangerous)

    def compose_fields(self) -> ComposeResult:
        if self._must_type_verb:
            yield from compose_labelled_input(
                f"type {self._verb}", Input(id="word", placeholder=self._verb, compact=True)
            )

    def on_mount(self) -> None:
        self.query_one("#confirm", Button).disabled = self._must_type_verb
        (
            self.query_one("#word", Input) if self._must_type_verb else self.query_one("#cancel", Button)
        ).focus()

    def on_input_changed(self, event: Input.Changed) -> None:
        if event.input.id == "word":
            self.query_one("#confirm", Button).disabled = not self._agreed

    def on_input_submitted(self, event: Input.Submitted) -> None:
        if event.input.id == "word" and self._agreed:
            self.submit()
        elif event.input.id != "word":
            self.focus_next()

    @property
    def _agreed(self) -> bool:
        return not self._must_type_verb or self.query_one("#word", Input).value.strip().lower() == self._verb


class ConfirmDialog(BaseConfirmDialog[bool]):
    """Returns True, or None."""

    def submit(self) -> None:
        self.dismiss(True)


class ConfirmWithReasonDialog(BaseConfirmDialog[str]):
    """Returns a reason, which may be empty and is stored with the event, or None."""

    def compose_fields(self) -> ComposeResult:
        widget = Input(id="reason", placeholder="stored with the event", compact=True, max_length=500)
        yield from compose_labelled_input("reason", widget)
        yield from super().compose_fields()

    def submit(self) -> None:
        self.dismiss(self.query_one("#reason", Input).value.strip())


def compose_labelled_input(name: str, widget: Input) -> ComposeResult:
    """Composes an input with its label."""
    with Horizontal(classes="field"):
        yield Label(name, markup=False)
        yield widget
