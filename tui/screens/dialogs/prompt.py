"""A dialog for one line of text: a reason, a number, a path."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from textual.app import ComposeResult
from textual.widgets import Input, Label

from previewops.tui.screens.dialogs.dialog import Dialog
from previewops.tui.viewmodel.spans import Line, Span

TextCheck = Callable[[str], str]
"""Returns the error of a text, "" for none."""


def accept_any(_text: str) -> str:
    """Accepts every text."""
    return ""


class PromptDialog(Dialog[str]):
    """Asks for one line of text. Errors of ``check`` are shown, and the text can be corrected."""

    def __init__(
        self,
        title: str,
        question: str | Sequence[Line],
        verb: str,
        *,
        initial: str = "",
        hint: str = "",
        check: TextCheck = accept_any,
    ) -> None:
        lines = [(Span(question),)] if isinstance(question, str) else question
        super().__init__(title, lines, verb=verb)
        self._initial = initial
        self._hint = hint
        self._check = check

    def compose_fields(self) -> ComposeResult:
        yield Input(self._initial, id="text", placeholder=self._hint, max_length=500, compact=True)
        yield Label("", id="rejected", markup=False)

    def on_mount(self) -> None:
        self.query_one("#text", Input).focus()

    def on_input_submitted(self, _event: Input.Submitted) -> None:
        self.submit()

    def submit(self) -> None:
        text = self.query_one("#text", Input).value.strip()
        error = self._check(text)
        if error:
            self.query_one("#rejected", Label).update(error)
        else:
            self.dismiss(text)
