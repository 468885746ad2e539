"""``previewops run-again``."""

from __future__ import annotations

import click

from previewops.cli.bulk_jobs import BulkCommand
from previewops.cli.context import Context, pass_context
from previewops.cli.job_selection_options import build_selection, selection_options
from previewops.cli.shared_options import json_option, reason_option
from previewops.queue.job_selection import ENDED_STATES
from previewops.queue.matching_jobs import MatchingJobs
from previewops.queue.queue import Queue
from previewops.states import JobState


async def _run_one_again(queue: Queue, job_id: str, who: str, reason: str) -> JobState:
    return await queue.run_again(job_id, who=who, reason=reason)


_RUN_AGAIN = BulkCommand(
    "run again",
    "run again",
    "they are rendered again with their stored payloads",
    JobState.WAITING,
    _run_one_again,
    MatchingJobs.run_again,
)


@click.command(
    "run-again",
    epilog="""\b
Examples:
  previewops run-again lesson-1 --reason "a new font"
  previewops run-again --state completed --project lessons --dry-run
  previewops run-again --state cancelled --filter 'title:draft'

\b
A completed or cancelled job is rendered again with its stored payload under
the same id, even if an equal result is in the cache. Readers see the old
bundle until the new one is published. `previewops dlq requeue` does it for
dead letters.
""",
)
@selection_options(ENDED_STATES)
@reason_option
@json_option
@pass_context
def run_again(
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
    """Render completed or cancelled jobs again, with their stored payloads."""
    selection = build_selection(
        job_ids, states, project, text, everything=everything, dry_run=dry_run, allowed=ENDED_STATES
    )
    if selection is None:
        return _RUN_AGAIN.run_named(context, job_ids, reason, as_json=as_json)
    return _RUN_AGAIN.run_matching(context, selection, reason, dry_run=dry_run, yes=yes, as_json=as_json)
