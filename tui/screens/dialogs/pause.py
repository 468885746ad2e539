"""Dialogs before the queue is paused or resumed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.widgets import Button

from previewops.formatting import format_age, pluralize
from previewops.tui.commands.commands import Pause, Resume
from previewops.tui.screens.dialogs.dialog import Dialog
from previewops.tui.screens.dialogs.prompt import PromptDialog
from previewops.tui.viewmodel.spans import Line, Span, Tone, clean_span

if TYPE_CHECKING:
    from previewops.snapshot.model import Snapshot
    from previewops.tui.app import OperatorApp


class ResumeDialog(Dialog[bool]):
    """Asks whether to resume a paused queue. Enter resumes, as it is easily undone."""

    def __init__(self, snapshot: Snapshot) -> None:
        super().__init__("Resume the queue", format_resume_lines(snapshot), verb="resume")

    def on_mount(self) -> None:
        super().on_mount()
        self.query_one("#confirm", Button).focus()

    def submit(self) -> None:
        self.dismiss(True)


def format_resume_lines(snapshot: Snapshot) -> list[Line]:
    """The operator, time and reason of the pause, and the number of waiting jobs."""
    by = (Span(" by "), clean_span(snapshot.paused_by)) if snapshot.paused_by else ()
    reason = (
        clean_span(snapshot.pause_reason) if snapshot.pause_reason else Span("no reason was given", Tone.DIM)
    )
    since = Span(format_age(snapshot.paused_since_ms, snapshot.now_ms), Tone.STRONG)
    return [
        (Span("Paused "), since, *by, Span(":")),
        (Span("  "), reason),
        (),
        (Span(f"{pluralize(snapshot.backlog, 'job')} will be claimed."),),
    ]


def reason_problem(text: str) -> str:
    """The error of an empty reason: nobody could tell why the queue stands still, nor when to resume it."""
    return "" if text.strip() else "Enter a reason."


async def ask_to_pause(app: OperatorApp, snapshot: Snapshot) -> Pause | Resume | None:
    """The command to pause or resume the queue; None if the operator cancels."""
    if snapshot.paused:
        return Resume() if await app.show_dialog(ResumeDialog(snapshot)) else None
    reason: str | None = await app.show_dialog(
        PromptDialog(
            "Pause the queue",
            "Workers claim no more jobs. Running jobs continue. Why?",
            "pause",
            hint="shown to everybody until the queue is resumed",
            check=reason_problem,
        )
    )
    return None if reason is None else Pause(reason)
