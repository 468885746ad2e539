"""The dialog to edit the payload of a dead letter."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import VerticalScroll
from textual.widgets import TextArea

from previewops.contract import Payload
from previewops.errors import InvalidPayload, Violation
from previewops.tui.key_bindings import bindings
from previewops.tui.keymap import PART_KEYS, key_of
from previewops.tui.screens.dialogs.dialog import Dialog
from previewops.tui.viewmodel.payload_editor import (
    format_editable,
    format_violation_lines,
    locate_violation,
    parse_edited,
)
from previewops.tui.viewmodel.spans import Span, Tone
from previewops.tui.widgets.diffed_lines import DiffedLines


def _hint() -> str:
    send, leave = key_of("send", "editor"), key_of("leave", "dialog")
    return f"{send} validates it and requeues the job, {leave} cancels"


def _hint_invalid() -> str:
    send, following = key_of("send", "editor"), key_of("next_violation", "editor")
    return f"{send} validates it again, {following} goes to the next violation"


def _hint_unsaved() -> str:
    return f"press {key_of('leave', 'dialog')} again to discard your changes"


class EditPayloadDialog(Dialog[Payload]):
    """Editor of a payload as JSON. Returns a valid payload, or None; lists the violations of an invalid one."""

    BINDINGS: ClassVar[list[BindingType]] = bindings(PART_KEYS["editor"], priority=True)

    def __init__(self, job_id: str, payload: Mapping[str, Any]) -> None:
        super().__init__(f"Payload of {job_id}", (), verb="requeue")
        self._job_id = job_id
        self._original = format_editable(payload)
        self._violations: tuple[Violation, ...] = ()
        self._next = 0
        self._warned = False
        self.add_class("-large")

    def compose_fields(self) -> ComposeResult:
        yield TextArea(
            self._original, id="payload", soft_wrap=True, show_line_numbers=True, tab_behavior="focus"
        )
        with VerticalScroll(id="violations", can_focus=False):
            yield DiffedLines(id="violation-lines", fit_height=True)

    def on_mount(self) -> None:
        self.query_one("#violations").display = False
        self._show_hint(_hint())
        self.query_one(TextArea).focus()

    def submit(self) -> None:
        try:
            payload = parse_edited(self.query_one(TextArea).text, self._job_id)
        except InvalidPayload as error:
            self._show_violations(error.violations)
        else:
            self.dismiss(payload)

    def action_send(self) -> None:
        self.submit()

    def action_leave(self) -> None:
        """Closes the dialog; a changed payload needs a second keystroke."""
        if self._warned or self.query_one(TextArea).text == self._original:
            self.dismiss(None)
            return
        self._warned = True
        self._show_hint(_hint_unsaved(), Tone.WARN)

    def on_text_area_changed(self) -> None:
        self._warned = False

    def action_next_violation(self) -> None:
        if not self._violations:
            return
        editor = self.query_one(TextArea)
        violation = self._violations[self._next % len(self._violations)]
        self._next += 1
        position = locate_violation(editor.text, violation)
        editor.focus()
        if position is not None:
            editor.move_cursor(position, center=True)

    def _show_violations(self, violations: tuple[Violation, ...]) -> None:
        self._violations, self._next = violations, 0
        box = self.query_one("#violations", VerticalScroll)
        box.display = True
        box.scroll_home(animate=False)
        lines = self.query_one("#violation-lines", DiffedLines)
        lines.draw(lambda columns, _: format_violation_lines(violations, columns))
        self._show_hint(_hint_invalid())
        self.action_next_violation()

    def _show_hint(self, message: str, tone: Tone = Tone.DIM) -> None:
        self.set_lines([(Span(message, tone),)])
