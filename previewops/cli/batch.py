"""``previewops batch``: jobs that were submitted as one thing."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING, TypeVar

import click

from previewops.cli.context import Context, pass_context
from previewops.cli.output import print_err, print_json, print_out
from previewops.cli.shared_options import SecondsRange, json_option, reason_option
from previewops.clock import iso_from_ms, optional_iso
from previewops.errors import EXIT_FAILED, EXIT_TRY_AGAIN
from previewops.formatting import format_fields, pluralize

if TYPE_CHECKING:
    from previewops.queue.batches import Batch, Batches
    from previewops.queue.queue import Queue

T = TypeVar("T")

POLL_INTERVAL_S = 0.5


@click.group(
    epilog="""\b
Examples:
  previewops submit lesson-*.json --batch lessons-7
  previewops batch show lessons-7
  previewops batch wait lessons-7 --timeout 600
  previewops jobs --batch lessons-7 --state dead
  previewops batch cancel lessons-7 --reason "wrong pictures"
"""
)
def batch() -> None:
    """Show, wait for, close or cancel a batch of jobs."""


@batch.command()
@click.argument("batch_id", metavar="BATCH")
@json_option
@pass_context
def show(context: Context, *, batch_id: str, as_json: bool) -> None:
    """Show one batch: its state and its number of jobs by state."""
    _print(_call(context, lambda batches: batches.status(batch_id)), as_json=as_json)


@batch.command()
@click.argument("batch_id", metavar="BATCH")
@click.option("--timeout", metavar="S", type=SecondsRange(min=0), help="Wait at most S seconds.")
@json_option
@pass_context
def wait(context: Context, *, batch_id: str, timeout: float | None, as_json: bool) -> int:
    """Wait until a batch has been closed and its jobs have ended.

    Exit code 1 if a job ended dead or cancelled, 75 after --timeout.
    """
    from previewops.cli.waiting import retry_during_outage

    async def poll(batches: Batches) -> Batch:
        deadline = None if timeout is None else time.monotonic() + timeout
        while True:
            record = await retry_during_outage(
                partial(batches.status, batch_id), print_err, "the jobs were accepted"
            )
            if record.ended_ms is not None or (deadline is not None and time.monotonic() >= deadline):
                return record
            await asyncio.sleep(POLL_INTERVAL_S)

    reached = _call(context, poll)
    _print(reached, as_json=as_json)
    if reached.ended_ms is None:
        print_err(f"{batch_id}: not ended within {timeout or 0:g} s; it is {reached.state.value}")
        return EXIT_TRY_AGAIN
    return EXIT_FAILED if reached.dead or reached.cancelled else 0


@batch.command()
@click.argument("batch_id", metavar="BATCH")
@json_option
@pass_context
def close(context: Context, *, batch_id: str, as_json: bool) -> None:
    """Close a batch: no job joins it any more, and it ends with its last job."""
    _print(_change(context, lambda batches: batches.close(batch_id)), as_json=as_json)


@batch.command()
@click.argument("batch_id", metavar="BATCH")
@reason_option
@pass_context
def cancel(context: Context, *, batch_id: str, reason: str) -> None:
    """Close a batch, and cancel its waiting, delayed and active jobs."""
    count = _change(context, lambda batches: batches.cancel(batch_id, who=context.operator, reason=reason))
    print_out(f"cancelled {pluralize(count, 'job')} of {batch_id}")


def _call(context: Context, function: Callable[[Batches], Awaitable[T]]) -> T:
    return context.call(_with_batches(context, function))


def _change(context: Context, function: Callable[[Batches], Awaitable[T]]) -> T:
    return context.change(_with_batches(context, function))


def _with_batches(
    context: Context, function: Callable[[Batches], Awaitable[T]]
) -> Callable[[Queue], Awaitable[T]]:
    from previewops.queue.batches import Batches

    return lambda queue: function(Batches(queue.redis, context.settings))


def _print(record: Batch, *, as_json: bool) -> None:
    if as_json:
        print_json(record.as_json())
    else:
        print_out(format_batch(record))


def format_batch(record: Batch) -> list[str]:
    """Formats a batch."""
    return format_fields(
        [
            ("batch", record.batch_id),
            ("project", record.project_id),
            ("state", record.state.value),
            ("jobs", f"{record.total:,}"),
            ("pending", f"{record.pending:,}"),
            ("completed", f"{record.completed:,}"),
            ("dead", f"{record.dead:,}"),
            ("cancelled", f"{record.cancelled:,}"),
            ("created", iso_from_ms(record.created_ms)),
            ("closed", optional_iso(record.closed_ms)),
            ("ended", optional_iso(record.ended_ms)),
        ]
    )
