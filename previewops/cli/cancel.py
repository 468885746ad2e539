"""``previewops cancel``."""

from __future__ import annotations

from collections.abc import Sequence

import click

from previewops.cli.context import Context, pass_context
from previewops.cli.job_selection_options import (
    build_selection,
    confirm_bulk,
    preview_selection,
    selection_options,
    show_done,
)
from previewops.cli.output import print_err, print_json, print_out
from previewops.cli.shared_options import json_option, reason_option
from previewops.errors import EXIT_FAILED, PreviewopsError, RedisUnavailable
from previewops.queue.job_selection import PENDING_STATES, JobsChanged, JobSelection
from previewops.queue.matching_jobs import MatchingJobs
from previewops.queue.queue import Queue
from previewops.redis_server.connection import redis_errors


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
        return _cancel_named(context, dict.fromkeys(job_ids), reason, as_json=as_json)
    return _cancel_matching(context, selection, reason, dry_run=dry_run, yes=yes, as_json=as_json)


def _cancel_named(
    context: Context, job_ids: Sequence[str] | dict[str, None], reason: str, *, as_json: bool
) -> int:
    url = context.redis_url()

    async def run(queue: Queue) -> bool:
        failed = False
        for job_id in job_ids:
            try:
                async with redis_errors(url):
                    before = await queue.cancel(job_id, who=context.operator, reason=reason)
            except RedisUnavailable:
                raise
            except PreviewopsError as error:
                if len(job_ids) == 1:
                    raise
                failed = True
                if as_json:
                    print_json({"jobId": job_id, **error.as_json()}, indent=None)
                print_err(error.message)
            else:
                if as_json:
                    print_json({"jobId": job_id, "status": "cancelled", "was": before.value}, indent=None)
                else:
                    print_out(f"cancelled {job_id}; it was {before.value}")
        return failed

    return EXIT_FAILED if context.change(run) else 0


def _cancel_matching(
    context: Context, selection: JobSelection, reason: str, *, dry_run: bool, yes: bool, as_json: bool
) -> int:
    async def run(queue: Queue) -> JobsChanged:
        jobs = MatchingJobs(queue.redis, queue.settings)
        count = await preview_selection(jobs, selection, "cancel")
        if dry_run or not count.total:
            return JobsChanged(0, count.total)
        if not yes:
            confirm_bulk("cancel", "cancelled", count.total, "they will not be rendered")
        with show_done("cancelled", count.total) as progress:
            return await jobs.cancel(
                selection,
                cut_off_ms=count.cut_off_ms,
                expected=count.total,
                who=context.operator,
                reason=reason,
                progress=progress,
            )

    result = context.change(run)
    if as_json:
        matched = result.done + result.skipped
        skipped = 0 if dry_run else result.skipped
        print_json({"matched": matched, "done": result.done, "skipped": skipped, "dryRun": dry_run})
    elif dry_run:
        print_out(f"would cancel {result.skipped:,}")
    else:
        print_out(f"cancelled {result.done:,}, skipped {result.skipped:,}")
    return 0
