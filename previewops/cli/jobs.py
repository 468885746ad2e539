"""``previewops jobs``."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import click

from previewops.cli.context import Context, json_option, limit_option, pass_context, server_now_ms
from previewops.cli.output import say, say_json, tell
from previewops.states import JobState
from previewops.text import age, table

if TYPE_CHECKING:
    from previewops.queue import JobPage


@click.command(
    epilog="""\b
Examples:
  previewops jobs
  previewops jobs --state dead --project lessons
  previewops jobs --limit 1000 --json
"""
)
@click.option(
    "--state", type=click.Choice([state.value for state in JobState]), help="Only jobs in this state."
)
@click.option("--project", metavar="P", help="Only jobs of this projectId.")
@limit_option
@json_option
@pass_context
def jobs(context: Context, state: str | None, project: str | None, limit: int, as_json: bool) -> None:
    """List jobs, newest first."""
    page, now_ms = asyncio.run(_read(context, JobState(state) if state else None, project, limit))
    if as_json:
        say_json({"jobs": [record.as_json() for record in page.jobs], "more": page.more})
        return
    if not page.jobs:
        tell("no jobs")
        return
    rows = [
        (
            record.job_id,
            record.state.value,
            record.priority.value,
            record.project_id,
            age(record.accepted_ms, now_ms),
            record.reason or "",
        )
        for record in page.jobs
    ]
    say(table(("JOB", "STATE", "PRIORITY", "PROJECT", "ACCEPTED", "REASON"), rows, flexible="REASON"))
    if page.more:
        tell(f"there are more than these {limit}; see --limit")


async def _read(
    context: Context, state: JobState | None, project: str | None, limit: int
) -> tuple[JobPage, int]:
    from previewops.queue import Queue

    async with context.redis() as redis:
        page = await Queue(redis, context.settings).jobs(state=state, project=project, limit=limit)
        return page, await server_now_ms(redis)
