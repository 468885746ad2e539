"""``previewops dlq requeue`` and ``discard``: preview the selection, confirm, execute, report."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

import click

from previewops.cli.context import Context, pass_context
from previewops.cli.dlq.selection import build_filter, group_by_cause, selection_options
from previewops.cli.output import NotConfirmed, can_prompt, print_err, print_out, print_unreadable, prompt
from previewops.cli.payload_files import read_payload
from previewops.cli.shared_options import reason_option
from previewops.errors import EXIT_FAILED, UsageError
from previewops.formatting import format_table, pluralize
from previewops.queue import Queue
from previewops.queue.dead_letter_filter import BulkResult, DeadLetterFilter
from previewops.queue.dead_letters import DeadLetters
from previewops.states import Priority

MAX_PREVIEWED = 10_000
"""Number of newest dead letters that the preview groups; the count covers all."""

TYPED_CONFIRMATION_COUNT = 100
"""From this count on, the operator types the command's name instead of y."""

_SHOWN_GROUPS = 10


class BulkCommand(NamedTuple):
    """Words of a bulk command."""

    verb: str
    past_tense: str
    consequence: str


_REQUEUE = BulkCommand("requeue", "requeued", "they run again with attempts reset to 0")
_DISCARD = BulkCommand("discard", "discarded", "they are deleted permanently, with their payloads")

_yes = click.option("-y", "--yes", is_flag=True, help="Skip the confirmation.")


@click.command(
    epilog="""\b
Examples:
  previewops dlq requeue lesson-1
  previewops dlq requeue --error asset-missing --priority low
  previewops dlq requeue --fingerprint 3f2a --yes
  previewops dlq requeue --filter 'project:lessons !timeout'
  previewops dlq requeue --payload fixed.json lesson-1

A single JOB is requeued without confirmation.
"""
)
@selection_options
@click.option(
    "--priority", type=click.Choice([priority.value for priority in Priority]), help="New priority."
)
@click.option(
    "--payload",
    "file",
    metavar="FILE",
    type=click.Path(allow_dash=True),
    help="Replace the payload of the one JOB.",
)
@reason_option
@_yes
@pass_context
def requeue(
    context: Context, /, priority: str | None, file: str | None, reason: str, yes: bool, **options: Any
) -> int:
    """Requeue dead letters. Shows the selection and asks for confirmation.

    Attempts are reset to 0; the history is kept.
    """
    selection = build_filter(**options, required=True)
    single = len(selection.job_ids) == 1
    new_priority = None if priority is None else Priority(priority)
    if file is not None:
        _requeue_with_payload(context, file, selection, reason=reason, priority=new_priority)
        return 0

    async def execute(dead_letters: DeadLetters, **options: Any) -> BulkResult:
        return await dead_letters.requeue(selection, reason=reason, priority=new_priority, **options)

    return _run(context, selection, _REQUEUE, execute, confirmed=yes or single)


@click.command(
    epilog="""\b
Examples:
  previewops dlq discard lesson-1
  previewops dlq discard --project trials --older-than 30d
  previewops dlq discard --all --yes --reason "storage was reset"
"""
)
@selection_options
@reason_option
@_yes
@pass_context
def discard(context: Context, /, reason: str, yes: bool, **options: Any) -> int:
    """Delete dead letters permanently. Shows the selection and asks for confirmation.

    Save them to a file with `previewops dlq export` first.
    """
    selection = build_filter(**options, required=True)

    async def execute(dead_letters: DeadLetters, **options: Any) -> BulkResult:
        return await dead_letters.discard(selection, reason=reason, **options)

    return _run(context, selection, _DISCARD, execute, confirmed=yes)


def _requeue_with_payload(
    context: Context, file: str, selection: DeadLetterFilter, *, reason: str, priority: Priority | None
) -> None:
    if len(selection.job_ids) != 1 or selection != DeadLetterFilter(job_ids=selection.job_ids):
        raise UsageError("--payload requires exactly one JOB", hint="name one job, without a filter")
    (job_id,) = selection.job_ids
    payload = read_payload(file).validate(context.asset_policy())
    context.change(
        lambda queue: DeadLetters(queue.redis, queue.settings).requeue_with_payload(
            job_id, payload, who=context.operator, reason=reason, priority=priority
        )
    )
    print_out(f"requeued {job_id} with the payload of {file}")


def _run(
    context: Context,
    selection: DeadLetterFilter,
    command: BulkCommand,
    execute: Callable[..., Awaitable[BulkResult]],
    *,
    confirmed: bool,
) -> int:
    async def run(queue: Queue) -> int:
        dead_letters = DeadLetters(queue.redis, queue.settings)
        cut_off_ms = await dead_letters.now_ms()  # dead letters of a later time are not in the preview
        count, missing = await _preview(dead_letters, selection, cut_off_ms)
        if missing:
            print_err(f"not dead letters: {', '.join(missing)}")
        if count and not confirmed:
            _confirm(command, count)
        result = BulkResult(0, 0, 0)
        if count:
            result = await execute(dead_letters, who=context.operator, cut_off_ms=cut_off_ms)
        print_out(f"{command.past_tense} {result.done}, skipped {result.skipped + len(missing)}")
        return EXIT_FAILED if missing else 0

    return context.change(run)


async def _preview(
    dead_letters: DeadLetters, selection: DeadLetterFilter, cut_off_ms: int
) -> tuple[int, tuple[str, ...]]:
    """Prints the selection's size and groups; returns its size and the JOBs that are not dead letters."""
    records = await dead_letters.newest(
        selection, limit=MAX_PREVIEWED, cut_off_ms=cut_off_ms, on_unreadable=print_unreadable
    )
    complete = len(records) < MAX_PREVIEWED
    count = len(records) if complete else await dead_letters.count(selection, cut_off_ms=cut_off_ms)
    if count:
        groups = group_by_cause(records)
        newest = "" if count == len(records) else f", of the newest {MAX_PREVIEWED:,}"
        print_err(f"{pluralize(count, 'dead letter')} in {pluralize(len(groups), 'group')}{newest}:")
        rows = [
            (group.count, group.fingerprint, group.example.code or "", group.example.reason or "")
            for group in groups[:_SHOWN_GROUPS]
        ]
        lines = format_table(("COUNT", "GROUP", "ERROR", "REASON"), rows, right=("COUNT",), flexible="REASON")
        print_err(f"  {line}" for line in lines)
        if len(groups) > _SHOWN_GROUPS:
            print_err(f"  and {pluralize(len(groups) - _SHOWN_GROUPS, 'group')} more")
    return count, selection.missing_ids({record.job_id for record in records})


def _confirm(command: BulkCommand, count: int) -> None:
    """Asks for confirmation.

    Raises:
        UsageError: standard input is not a terminal.
        NotConfirmed: any reply but yes.
    """
    count_text = pluralize(count, "dead letter")
    if not can_prompt():
        raise UsageError(
            f"cannot confirm without a terminal: {count_text} would be {command.past_tense}",
            hint="add --yes to skip the confirmation",
        )
    print_err(f"{command.verb} {count_text}: {command.consequence}")
    if count >= TYPED_CONFIRMATION_COUNT:
        confirmed = prompt(f"Type {command.verb} to continue:").lower() == command.verb
    else:
        confirmed = prompt("Continue? [y/N]").lower() in ("y", "yes")
    if not confirmed:
        raise NotConfirmed(f"Not executed: nothing was {command.past_tense}")
