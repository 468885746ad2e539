"""Dialogs before jobs are cancelled."""

from __future__ import annotations

from collections.abc import Sequence

from previewops.formatting import pluralize
from previewops.queue.job_selection import MatchedJobs
from previewops.tui.screens.base import OperatorScreen
from previewops.tui.screens.dialogs.confirm import ConfirmDialog, ConfirmWithReasonDialog
from previewops.tui.screens.dialogs.prompt import PromptDialog
from previewops.tui.viewmodel.confirmation import confirmation_level
from previewops.tui.viewmodel.jobs.dialog_text import format_cancel_matched_lines
from previewops.tui.viewmodel.spans import Line, Span, Tone, clean_span

_NAMED = 5


async def ask_to_cancel(
    screen: OperatorScreen, job_ids: Sequence[str], *, active: int, ended: int = 0
) -> str | None:
    """Asks for a reason, and for several jobs a confirmation; returns the reason, or None if the operator cancels.

    ``active`` of the jobs are running; ``ended`` is the number of selected jobs that cannot be cancelled any more.
    """
    count = len(job_ids)
    jobs_text = f"job {job_ids[0]}" if count == 1 else pluralize(count, "job")
    ends = "They will not be rendered." if count > 1 else "It will not be rendered."
    if active and count == 1:
        ends = "It is running: its render process is killed."
    verb = "cancel job" if count == 1 else "cancel jobs"
    reason = await screen.show_dialog(PromptDialog(f"Cancel {jobs_text}", f"{ends} Why?", verb))
    if reason is None or count == 1:
        return None if reason is None else str(reason)
    cancelled = Span(" jobs are cancelled and will not be rendered.")
    lines: list[Line] = [(Span(f"{count:,}", Tone.STRONG), cancelled)]
    if active:
        killed = Span(" of them are running: their render processes are killed.")
        lines.append((Span(f"{active:,}", Tone.STRONG), killed))
    if ended:
        lines.append((Span(f"{pluralize(ended, 'other')} that you marked have ended already.", Tone.DIM),))
    lines.append(())
    lines += [(Span("  "), clean_span(job_id)) for job_id in job_ids[:_NAMED]]
    if count > _NAMED:
        lines.append((Span(f"  and {count - _NAMED:,} more", Tone.DIM),))
    level = confirmation_level(count, reversible=False)
    sure = await screen.show_dialog(ConfirmDialog(f"Cancel {jobs_text}", lines, verb=verb, level=level))
    return str(reason) if sure else None


async def ask_to_cancel_matched(screen: OperatorScreen, matched: MatchedJobs, *, others: int) -> str | None:
    """Asks before all pending jobs that match are cancelled; ``others`` match and have ended.

    Returns the reason, or None if the operator cancels.
    """
    count = matched.count.total
    dialog = ConfirmWithReasonDialog(
        f"Cancel {pluralize(count, 'job')}",
        format_cancel_matched_lines(matched, others=others),
        verb="cancel jobs",
        level=confirmation_level(count, reversible=False),
    )
    reason: str | None = await screen.show_dialog(dialog)
    return reason
