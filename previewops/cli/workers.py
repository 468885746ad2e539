"""``previewops workers``."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import click

from previewops.cli.context import Context, json_option, pass_context
from previewops.cli.output import say, say_json, tell
from previewops.cli.text import age, size, table
from previewops.clock import iso_from_ms

if TYPE_CHECKING:
    from previewops.snapshot import Snapshot

_HEADERS = ("WORKER", "STATE", "BUSY", "DONE", "FAILED", "MEMORY", "SEEN", "JOBS")


@click.command(
    epilog="""\b
Examples:
  previewops workers
  previewops workers --json
"""
)
@json_option
@pass_context
def workers(context: Context, as_json: bool) -> None:
    """List the workers as of their last heartbeat, and what each is at."""
    snapshot = asyncio.run(_take(context))
    if as_json:
        say_json(
            {"workers": [worker.as_json() for worker in snapshot.workers], "at": iso_from_ms(snapshot.now_ms)}
        )
    elif snapshot.workers:
        say(worker_lines(snapshot))
    else:
        tell("no worker is running; start one with `previewops worker` or `previewops up`")


async def _take(context: Context) -> Snapshot:
    from previewops.snapshot import Snapshots

    async with context.redis() as redis:
        return await Snapshots(redis, context.settings).take()


def worker_lines(snapshot: Snapshot) -> list[str]:
    """A table of the workers; none if there are none."""
    if not snapshot.workers:
        return []
    rows = [
        (
            worker.worker_id,
            worker.state,
            f"{worker.busy}/{worker.slots}",
            worker.completed,
            worker.failed,
            size(worker.rss_bytes),
            age(worker.heartbeat_ms, snapshot.now_ms),
            ", ".join(worker.jobs),
        )
        for worker in snapshot.workers
    ]
    return table(_HEADERS, rows, right=("BUSY", "DONE", "FAILED", "MEMORY"), flexible="JOBS")
