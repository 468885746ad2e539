"""``previewops find``."""

from __future__ import annotations

from typing import Any

import click

from previewops.cli.context import Context, pass_context
from previewops.cli.job_selection_options import show_done
from previewops.cli.output import print_err, print_json, print_out
from previewops.cli.shared_options import json_option, limit_option
from previewops.errors import EXIT_FAILED, JobNotFound, RecordUnreadable, UsageError
from previewops.formatting import format_age, format_table
from previewops.queue.job_search import search_jobs
from previewops.queue.queue import Queue
from previewops.queue.records import JobRecord


@click.command(
    epilog="""\b
Examples:
  previewops find lesson-1
  previewops find req-2026-11-28-7
  previewops find "nine men's morris" --json

\b
A job matches if its id or its requestId is TEXT, or if its title contains it;
a to z match in either case. An id is found at once. For the others the
payloads of all jobs are searched, newest first: about ten seconds for a
million jobs, in small steps that do not block Redis.
"""
)
@click.argument("text", metavar="TEXT")
@limit_option
@json_option
@pass_context
def find(context: Context, /, *, text: str, limit: int, as_json: bool) -> int:
    """Find jobs by their id, requestId or title."""
    if not text.strip() or "\0" in text:
        raise UsageError("TEXT is empty or has a NUL character", hint="give an id, a requestId or a title")

    async def run(queue: Queue) -> tuple[list[JobRecord], bool]:
        with show_done("examined") as progress:
            records, more = await search_jobs(queue, text, limit=limit, on_examined=progress)
        return await _with_payloads(queue, records), more

    (records, more), now_ms = context.call_with_time(run)
    if as_json:
        print_json({"jobs": [_as_json(record) for record in records], "more": more})
        return 0 if records else EXIT_FAILED
    if not records:
        print_err("no job has this id, requestId or title")
        return EXIT_FAILED
    rows = [
        (
            record.job_id,
            record.state.value,
            record.project_id,
            format_age(record.accepted_ms, now_ms),
            _request_id(record),
            _title(record),
        )
        for record in records
    ]
    head = ("JOB", "STATE", "PROJECT", "ACCEPTED", "REQUEST", "TITLE")
    print_out(format_table(head, rows, flexible="TITLE"))
    if more:
        print_err(f"more jobs than --limit {limit}")
    return 0


async def _with_payloads(queue: Queue, records: list[JobRecord]) -> list[JobRecord]:
    """The records with their payloads; without those that have expired meanwhile."""
    loaded = []
    for record in records:
        try:
            loaded.append(await queue.status(record.job_id))
        except (JobNotFound, RecordUnreadable):
            continue
    return loaded


def _as_json(record: JobRecord) -> dict[str, Any]:
    return {**record.as_json(), "requestId": _request_id(record), "title": _title(record)}


def _request_id(record: JobRecord) -> str:
    value = (record.payload or {}).get("requestId")
    return value if isinstance(value, str) else ""


def _title(record: JobRecord) -> str:
    request = (record.payload or {}).get("previewRequest")
    value = request.get("title") if isinstance(request, dict) else None
    return value if isinstance(value, str) else ""
