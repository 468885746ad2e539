"""``previewops jobs``."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial

import click

from previewops.cli.context import Context, pass_context
from previewops.cli.output import print_err, print_json, print_out, print_unreadable
from previewops.cli.shared_options import json_option, limit_option, parse_filter_option
from previewops.errors import UsageError
from previewops.formatting import format_age, format_table
from previewops.queue import Queue
from previewops.queue.batches import Batches, check_batch_id
from previewops.queue.filter_query import FilterQuery
from previewops.queue.listing import JobList
from previewops.queue.pages import Cursor, ListPage
from previewops.queue.records import JobRecord
from previewops.queue.tolerant_values import NO_UNREADABLE_KEYS, UnreadableKeys
from previewops.states import JobState

ReadPage = Callable[..., Awaitable[ListPage]]
"""Reads the page after ``cursor``, of up to ``limit`` rows."""


@click.command(
    epilog="""\b
Examples:
  previewops jobs
  previewops jobs --state dead --project lessons
  previewops jobs --batch lessons-7 --state dead
  previewops jobs --filter 'error:timeout !project:trials'
  previewops jobs --limit 1000 --json

\b
--filter: a job matches if each word occurs in its id, project, priority,
state, worker or error. "Double quotes" group words; project:lessons searches
one field; !word excludes; a leading ! negates the whole filter.
"""
)
@click.option(
    "--state", type=click.Choice([state.value for state in JobState]), help="Only jobs in this state."
)
@click.option("--project", metavar="P", help="Only jobs with this projectId.")
@click.option("--batch", metavar="ID", help="Only jobs of this batch; not with --filter.")
@click.option("--filter", "text", metavar="TEXT", default="", help="Only jobs that match; syntax below.")
@limit_option
@json_option
@pass_context
def jobs(
    context: Context,
    /,
    *,
    state: str | None,
    project: str | None,
    batch: str | None,
    text: str,
    limit: int,
    as_json: bool,
) -> None:
    """List jobs: active ones first, then newest first."""
    query = parse_filter_option(text)
    if batch is not None and text:
        raise UsageError("found --batch and --filter, allowed one of them")
    if batch is not None:
        check_batch_id(batch, name="--batch")
    wanted = JobState(state) if state else None
    (records, unreadable), now_ms = context.call_with_time(
        lambda queue: _read(_pages(queue, wanted, query, batch), project, limit + 1)
    )
    shown, more = records[:limit], len(records) > limit
    if as_json:
        print_json(
            {
                "jobs": [record.as_json() for record in shown],
                "more": more,
                "unreadable": unreadable.as_json(),
            }
        )
        return
    print_unreadable(unreadable)
    if not shown:
        print_err("no jobs")
        return
    rows = [
        (
            record.job_id,
            record.state.value,
            record.priority.value,
            record.project_id,
            format_age(record.accepted_ms, now_ms),
            record.reason or "",
        )
        for record in shown
    ]
    print_out(
        format_table(("JOB", "STATE", "PRIORITY", "PROJECT", "ACCEPTED", "REASON"), rows, flexible="REASON")
    )
    if more:
        print_err(f"more jobs than --limit {limit}")


def _pages(queue: Queue, state: JobState | None, query: FilterQuery, batch: str | None) -> ReadPage:
    if batch is not None:
        return partial(Batches(queue.redis, queue.settings).page, batch, state=state)
    return partial(JobList(queue.redis, queue.settings).page, state=state, query=query)


async def _read(
    read_page: ReadPage, project: str | None, limit: int
) -> tuple[list[JobRecord], UnreadableKeys]:
    records: list[JobRecord] = []
    unreadable = NO_UNREADABLE_KEYS
    cursor: Cursor | None = None
    while True:
        page = await read_page(cursor=cursor, limit=limit)
        records += (record for record in page.rows if project in (None, record.project_id))
        unreadable += page.unreadable
        cursor = page.cursor
        if cursor is None or len(records) >= limit:
            return records[:limit], unreadable
