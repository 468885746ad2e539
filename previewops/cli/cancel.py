"""``previewops cancel``."""

from __future__ import annotations

import click

from previewops.cli.bulk_jobs import BulkCommand
from previewops.cli.context import Context, pass_context
from previewops.cli.job_selection_options import build_selection, selection_options
from previewops.cli.shared_options import json_option, reason_option
from previewops.queue.job_selection import PENDING_STATES
from previewops.queue.matching_jobs import MatchingJobs
from previewops.queue.queue import Queue
from previewops.states import JobState


async def _cancel_one(queue: Queue, job_id: str, who: str, reason: str) -> JobState:
    return await queue.cancel(job_id, who=who, reason=reason)


_CANCEL = BulkCommand(
    "cancel",
    "cancelled",
    "they will not be rendered",
    JobState.CANCELLED,
    _cancel_one,
    MatchingJobs.cancel,
)


@click.command(
    epilog="""\b
Examples:
  previewops cancel lesson-1
  previewops cancel lesson-1 lesson-2 --reason "wrong pictures"
  previewops cancel --filter 'project:=trials !priority:high' --dry-run
  previewops cancel --state waiting --project trials --reason "a wrong import"

\b
With --filter, --project, --state or --all: counts the jobs that match, asks,
then cancels them in small steps. Ctrl-C stops after the current step. Jobs
that are submitted after the count are left alone.
"""
)
@selection_options(PENDING_STATES)
@reason_option
@json_option
@pass_context
def cancel(
    context: Context,
    /,
    *,
    job_ids: tuple[str, ...],
    states: tuple[str, ...],
    project: str | None,
    text: str | None,
    everything: bool,
    dry_run: bool,
    yes: bool,
    reason: str,
    as_json: bool,
) -> int:
    """Cancel waiting, delayed or active jobs. A running render is killed within two seconds."""
    selection = build_selection(
        job_ids, states, project, text, everything=everything, dry_run=dry_run, allowed=PENDING_STATES
    )
    if selection is None:
        return _CANCEL.run_named(context, job_ids, reason, as_json=as_json)
    return _CANCEL.run_matching(context, selection, reason, dry_run=dry_run, yes=yes, as_json=as_json)
