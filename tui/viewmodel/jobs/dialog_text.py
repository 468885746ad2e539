"""Text of the dialogs before jobs are cancelled, rescheduled, run again or deleted."""

from __future__ import annotations

from collections.abc import Sequence

from previewops.formatting import pluralize
from previewops.queue.job_selection import MatchedJobs
from previewops.states import JobState, Priority
from previewops.tui.viewmodel.spans import Line, Span, Tone, clean_span

SAMPLE_IDS = 3
"""Maximum of ids that a dialog on all jobs that match names."""

_NAMED = 5
_PAUSED = "The queue is paused: no job is claimed until it is resumed."


def jobs_label(job_ids: Sequence[str]) -> str:
    """The id of a single job, else their number."""
    return selected_label(job_ids, len(job_ids))


def selected_label(job_ids: Sequence[str], count: int) -> str:
    """The id of a single named job, else the number of jobs."""
    return job_ids[0] if len(job_ids) == 1 else pluralize(count, "job")


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


def format_cancel_matched_lines(matched: MatchedJobs, *, others: int) -> list[Line]:
    """The text of the confirmation before all pending jobs that match are cancelled.

    ``others`` is the number of matching jobs that have ended.
    """
    lines = [*format_matched_lines(matched), (), (Span("They will not be rendered."),)]
    if matched.count.by_state.get(JobState.ACTIVE):
        lines.append((Span("The render processes of active jobs are killed."),))
    if others:
        lines.append((Span(f"Not affected: {others:,} that match and have ended.", Tone.DIM),))
    lines.append((Span("Jobs that are submitted from now on are left alone.", Tone.DIM),))
    return lines


def format_run_again_lines(job_ids: Sequence[str], matched: MatchedJobs | None, *, others: int) -> list[Line]:
    """The text of the dialog before jobs that have ended run again."""
    its = "its" if len(job_ids) == 1 else "their"
    effects: list[Line] = [
        (Span(f"Rendered again with {its} stored payload; no cached result is used."),),
        (Span("Readers see an old bundle until the new one is published.", Tone.DIM),),
    ]
    if len(job_ids) == 1:
        return [*effects, (Span("Why?"),)]
    return [*_format_ended_lines(job_ids, matched, others), (), *effects]


def format_delete_lines(job_ids: Sequence[str], matched: MatchedJobs | None, *, others: int) -> list[Line]:
    """The text of the dialog before jobs that have ended are deleted."""
    effects: list[Line] = [
        (Span("Deleted permanently: record, payload, result and bundle.", Tone.BAD),),
        (Span("Who deleted it, and why, stays recorded.", Tone.DIM),),
    ]
    if len(job_ids) == 1:
        return effects
    return [*_format_ended_lines(job_ids, matched, others), (), *effects]


def _format_ended_lines(job_ids: Sequence[str], matched: MatchedJobs | None, others: int) -> list[Line]:
    if matched is None:
        count = (Span(f"{len(job_ids):,}", Tone.STRONG), Span(" jobs that have ended"))
        return [count, *_format_selected_lines(job_ids, others)]
    lines = format_matched_lines(matched)
    if others:
        lines.append((Span(f"Not affected: {others:,} others that match.", Tone.DIM),))
    return lines


def format_matched_lines(matched: MatchedJobs) -> list[Line]:
    """The filter whole, the number of jobs by state, and some ids."""
    lines: list[Line] = []
    query = matched.selection.query
    if query:
        lines.append((Span("Filter: ", Tone.DIM), clean_span(query, Tone.WARN)))
    count = matched.count
    parts = [f"{number:,} {state.value}" for state in JobState if (number := count.by_state.get(state, 0))]
    lines.append((Span(pluralize(count.total, "job"), Tone.STRONG), Span(f": {', '.join(parts)}")))
    if sample := count.sample_ids(SAMPLE_IDS):
        label = "Ids: " if count.total <= len(sample) else "For example: "
        lines.append((Span(label, Tone.DIM), clean_span(", ".join(sample))))
    return lines


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
