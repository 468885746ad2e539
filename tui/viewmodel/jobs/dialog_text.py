"""Text of the dialogs before waiting or delayed jobs are rescheduled."""

from __future__ import annotations

from collections.abc import Sequence

from previewops.formatting import pluralize
from previewops.states import Priority
from previewops.tui.viewmodel.spans import Line, Span, Tone, clean_span

_NAMED = 5
_PAUSED = "The queue is paused: no job is claimed until it is resumed."


def jobs_label(job_ids: Sequence[str]) -> str:
    """The id of a single job, else their number."""
    return job_ids[0] if len(job_ids) == 1 else pluralize(len(job_ids), "job")


def format_priority_question_lines(job_ids: Sequence[str]) -> list[Line]:
    """The text above the priorities to choose from."""
    whose = "its" if len(job_ids) == 1 else "their"
    return [
        (clean_span(f"Which priority for {jobs_label(job_ids)}?"),),
        (Span(f"Among jobs of the new priority, age decides {whose} place.", Tone.DIM),),
    ]


def format_priority_lines(job_ids: Sequence[str], priority: Priority, *, others: int) -> list[Line]:
    """The text of the confirmation before several jobs get another priority."""
    change = Span(f" jobs get priority {priority.value}.")
    return [(Span(f"{len(job_ids):,}", Tone.STRONG), change), *_format_selected_lines(job_ids, others)]


def format_run_now_lines(job_ids: Sequence[str], *, others: int, paused: bool) -> list[Line]:
    """The text of the dialog before delayed jobs run now."""
    warning: list[Line] = [(Span(_PAUSED, Tone.WARN),)] if paused else []
    if len(job_ids) == 1:
        effect = "Its delay ends: it joins the waiting jobs of its priority. Why?"
        return [*warning, (Span(effect),)]
    effect = " delayed jobs join the waiting jobs of their priority."
    count = (Span(f"{len(job_ids):,}", Tone.STRONG), Span(effect))
    return [*warning, count, *_format_selected_lines(job_ids, others)]


def _format_selected_lines(job_ids: Sequence[str], others: int) -> list[Line]:
    """Some of the ids, after the number of marked jobs that are left alone."""
    lines: list[Line] = []
    if others:
        lines.append((Span(f"Not affected: {others:,} more that you marked.", Tone.DIM),))
    lines.append(())
    lines += [(Span("  "), clean_span(job_id)) for job_id in job_ids[:_NAMED]]
    if len(job_ids) > _NAMED:
        lines.append((Span(f"  and {len(job_ids) - _NAMED:,} more", Tone.DIM),))
    return lines
