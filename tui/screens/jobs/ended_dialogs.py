"""Dialogs before jobs that have ended run again or are deleted."""

from __future__ import annotations

from collections.abc import Sequence

from previewops.queue.job_selection import MatchedJobs
from previewops.tui.commands.commands import Delete, RunAgain
from previewops.tui.screens.base import OperatorScreen
from previewops.tui.screens.dialogs.confirm import ConfirmWithReasonDialog
from previewops.tui.screens.dialogs.prompt import PromptDialog
from previewops.tui.viewmodel.confirmation import ConfirmationLevel, confirmation_level
from previewops.tui.viewmodel.jobs.dialog_text import (
    format_delete_lines,
    format_run_again_lines,
    selected_label,
)


async def ask_to_run_again(
    screen: OperatorScreen, job_ids: Sequence[str], *, matched: MatchedJobs | None = None, others: int = 0
) -> RunAgain | None:
    """Asks for a reason, and for several jobs a confirmation; None if the operator cancels.

    ``others`` is the number of selected jobs that have not ended or are dead letters.
    """
    command = RunAgain(tuple(job_ids), matched=matched)
    title, verb = f"Run {selected_label(command.job_ids, command.count)} again", "run again"
    lines = format_run_again_lines(job_ids, matched, others=others)
    level = confirmation_level(command.count, reversible=True)
    dialog = (
        PromptDialog(title, lines, verb, hint="stored with the event")
        if level is ConfirmationLevel.NONE
        else ConfirmWithReasonDialog(title, lines, verb=verb, level=level, dangerous=False)
    )
    reason: str | None = await screen.show_dialog(dialog)
    return None if reason is None else RunAgain(command.job_ids, reason, matched)


async def ask_to_delete(
    screen: OperatorScreen, job_ids: Sequence[str], *, matched: MatchedJobs | None = None, others: int = 0
) -> Delete | None:
    """Asks for a confirmation and a reason; ``others`` as above. None if the operator cancels."""
    command = Delete(tuple(job_ids), matched=matched)
    title = f"Delete {selected_label(command.job_ids, command.count)}"
    lines = format_delete_lines(job_ids, matched, others=others)
    level = confirmation_level(command.count, reversible=False)
    dialog = ConfirmWithReasonDialog(title, lines, verb="delete", level=level)
    reason: str | None = await screen.show_dialog(dialog)
    return None if reason is None else Delete(command.job_ids, reason, matched)
