"""``previewops cancel``."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import click

from previewops.cli.context import Context, pass_context
from previewops.cli.output import print_out

if TYPE_CHECKING:
    from previewops.states import JobState


@click.command(
    epilog="""\b
Examples:
  previewops cancel lesson-1
  previewops cancel lesson-1 --reason "wrong pictures"
"""
)
@click.argument("job_id", metavar="JOB")
@click.option("--reason", metavar="TEXT", default="", help="Reason; recorded with the event.")
@pass_context
def cancel(context: Context, job_id: str, reason: str) -> None:
    """Cancel a waiting, delayed or active job. A running render is killed within two seconds."""
    before = asyncio.run(_cancel(context, job_id, reason))
    print_out(f"cancelled {job_id}; it was {before.value}")


async def _cancel(context: Context, job_id: str, reason: str) -> JobState:
    from previewops.cli.acting_operator import acting_operator
    from previewops.queue.queue import Queue

    async with context.redis() as redis:
        return await Queue(redis, context.settings).cancel(job_id, who=acting_operator(), why=reason)
