"""Dialogs before waiting or delayed jobs get another priority or run now."""

from __future__ import annotations

from collections.abc import Sequence

from previewops.states import Priority
from previewops.tui.commands.commands import Reschedule
from previewops.tui.screens.base import OperatorScreen
from previewops.tui.screens.dialogs.confirm import ConfirmWithReasonDialog
from previewops.tui.screens.dialogs.priority import ask_for_priority
from previewops.tui.screens.dialogs.prompt import PromptDialog
from previewops.tui.viewmodel.confirmation import ConfirmationLevel, confirmation_level
from previewops.tui.viewmodel.jobs.dialog_text import (
    format_priority_lines,
    format_priority_question_lines,
    format_run_now_lines,
    jobs_label,
)
from previewops.tui.viewmodel.spans import Line


async def ask_to_change_priority(
    screen: OperatorScreen, job_ids: Sequence[str], *, current: Priority, others: int = 0
) -> Reschedule | None:
    """Asks for the priority, and for several jobs a confirmation; None if the operator cancels.

    ``others`` is the number of selected jobs that run or have ended.
    """
    title = f"Priority of {jobs_label(job_ids)}"
    several = len(job_ids) > 1
    lines = format_priority_question_lines(job_ids)
    verb = "continue" if several else "change"
    priority = await ask_for_priority(screen, title, lines, initial=current, verb=verb)
    if priority is None:
        return None
    reason: str | None = ""
    if several:
        lines = format_priority_lines(job_ids, priority, others=others)
        reason = await _confirm(screen, title, lines, "change", len(job_ids))
    return None if reason is None else Reschedule(tuple(job_ids), priority, reason=reason)


async def ask_to_run_now(
    screen: OperatorScreen, job_ids: Sequence[str], *, others: int = 0
) -> Reschedule | None:
    """Asks for a reason, and for several jobs a confirmation; None if the operator cancels.

    ``others`` is the number of selected jobs that are not delayed.
    """
    title, verb = f"Run {jobs_label(job_ids)} now", "run now"
    snapshot = screen.operator_app.view.snapshot
    paused = snapshot is not None and snapshot.paused
    lines = format_run_now_lines(job_ids, others=others, paused=paused)
    if len(job_ids) == 1:
        reason = await screen.show_dialog(PromptDialog(title, lines, verb, hint="stored with the event"))
    else:
        reason = await _confirm(screen, title, lines, verb, len(job_ids))
    return None if reason is None else Reschedule(tuple(job_ids), now=True, reason=reason)


async def _confirm(
    screen: OperatorScreen, title: str, lines: Sequence[Line], verb: str, count: int
) -> str | None:
    level = confirmation_level(count, reversible=True)
    assert level is not ConfirmationLevel.NONE, "only several jobs are confirmed"
    dialog = ConfirmWithReasonDialog(title, lines, verb=verb, level=level, dangerous=False)
    reason: str | None = await screen.show_dialog(dialog)
    return reason
