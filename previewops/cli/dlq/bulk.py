"""``previewops dlq requeue`` and ``previewops dlq discard``: count first, say what, ask, act, account."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from previewops.cli.context import Context, pass_context
from previewops.cli.dlq.selection import build_filter, selection_options
from previewops.cli.output import can_prompt, print_err, print_out, prompt
from previewops.errors import EXIT_FAILED, PreviewopsError, UsageError
from previewops.formatting import format_table, pluralize
from previewops.states import Priority

if TYPE_CHECKING:
    from previewops.queue.dead_letter_filter import BulkResult, DeadLetterFilter
    from previewops.queue.dead_letters import DeadLetters

LOOKED_AT = 10_000
"""Of more dead letters than this, the newest are shown by group, and all are counted."""

TYPE_THE_WORD = 100
"""From so many on a y is too easily typed."""

_SHOWN_GROUPS = 10

BulkAction = Callable[["DeadLetters", int], Awaitable["BulkResult"]]
"""Is told the cut-off (server ms) that what was shown went by."""


class NotConfirmed(PreviewopsError):
    """The person said no."""

    code = "not-confirmed"


@dataclass(frozen=True, slots=True)
class BulkCommand:
    """A bulk act in words: what is typed, and what is reported."""

    verb: str
    past_tense: str
    consequence: str


_REQUEUE = BulkCommand("requeue", "requeued", "they run again, attempts counted from nought")
_DISCARD = BulkCommand("discard", "discarded", "they are deleted for good, payloads included")

_yes = click.option("-y", "--yes", is_flag=True, help="Do not ask.")
_reason = click.option("--reason", metavar="TEXT", default="", help="Why; kept with the event.")


@click.command(
    epilog="""\b
Examples:
  previewops dlq requeue lesson-1
  previewops dlq requeue --error asset-missing --priority low
  previewops dlq requeue --fingerprint 3f2a --yes
  previewops dlq requeue --filter 'project:lessons !timeout'
  previewops dlq requeue --payload mended.json lesson-1

A single JOB is requeued without a question.
"""
)
@selection_options
@click.option(
    "--priority", type=click.Choice([each.value for each in Priority]), help="Instead of their own."
)
@click.option(
    "--payload",
    "file",
    metavar="FILE",
    type=click.Path(allow_dash=True),
    help="Run the one JOB with this payload instead of its own.",
)
@_reason
@_yes
@pass_context
def requeue(
    context: Context, /, priority: str | None, file: str | None, reason: str, yes: bool, **choice: Any
) -> int:
    """Give dead letters a new life. Says how many and what, and asks.

    Their attempts count from nought again, and their history stays.
    """
    from previewops.cli.acting_operator import acting_operator

    which = build_filter(**choice, required=True)
    single = len(which.job_ids) == 1
    rank = None if priority is None else Priority(priority)
    if file is not None:
        from previewops.cli.dlq.requeue_payload import requeue_with_payload

        asyncio.run(requeue_with_payload(context, file, which, why=reason, priority=rank))
        return 0

    async def act(letters: DeadLetters, cut_off_ms: int) -> BulkResult:
        return await letters.requeue(
            which, who=acting_operator(), why=reason, priority=rank, cut_off_ms=cut_off_ms
        )

    return asyncio.run(_run(context, which, _REQUEUE, act, confirmed=yes or single))


@click.command(
    epilog="""\b
Examples:
  previewops dlq discard lesson-1
  previewops dlq discard --project trials --older-than 30d
  previewops dlq discard --all --yes --reason "storage was reset"
"""
)
@selection_options
@_reason
@_yes
@pass_context
def discard(context: Context, /, reason: str, yes: bool, **choice: Any) -> int:
    """Delete dead letters for good. Says how many and what, and asks.

    `previewops dlq export` keeps them in a file before.
    """
    from previewops.cli.acting_operator import acting_operator

    which = build_filter(**choice, required=True)

    async def act(letters: DeadLetters, cut_off_ms: int) -> BulkResult:
        return await letters.discard(which, who=acting_operator(), why=reason, cut_off_ms=cut_off_ms)

    return asyncio.run(_run(context, which, _DISCARD, act, confirmed=yes))


async def _run(
    context: Context, which: DeadLetterFilter, deed: BulkCommand, act: BulkAction, *, confirmed: bool
) -> int:
    from previewops.queue.dead_letters import DeadLetters

    async with context.redis() as redis:
        letters = DeadLetters(redis, context.settings)
        cut_off_ms = await letters.now_ms()
        count, missing = await _preview(letters, which, cut_off_ms)
        if missing:
            print_err(f"not in the dead-letter queue: {', '.join(missing)}")
        if count and not confirmed:
            _confirm(deed, count)
        outcome = await act(letters, cut_off_ms) if count else None
    done, skipped = (outcome.done, outcome.skipped) if outcome else (0, 0)
    print_out(f"{deed.past_tense} {done}, skipped {skipped + len(missing)}")
    return EXIT_FAILED if missing else 0


async def _preview(
    letters: DeadLetters, which: DeadLetterFilter, cut_off_ms: int
) -> tuple[int, tuple[str, ...]]:
    """Tells how many dead letters are meant and of what kinds; returns their number and the JOBs that are none."""
    from previewops.cli.dlq.groups import group_by_cause

    records = await letters.newest(which, limit=LOOKED_AT, cut_off_ms=cut_off_ms)
    few = len(records) < LOOKED_AT
    count = len(records) if few else await letters.count(which, cut_off_ms=cut_off_ms)
    if count:
        groups = group_by_cause(records)
        of = "" if count == len(records) else f", here the newest {LOOKED_AT:,}"
        print_err(f"{pluralize(count, 'dead letter')} in {pluralize(len(groups), 'group')}{of}:")
        rows = [
            (group.count, group.fingerprint, group.example.code or "", group.example.reason or "")
            for group in groups[:_SHOWN_GROUPS]
        ]
        lines = format_table(("COUNT", "GROUP", "ERROR", "REASON"), rows, right=("COUNT",), flexible="REASON")
        print_err(f"  {line}" for line in lines)
        if len(groups) > _SHOWN_GROUPS:
            print_err(f"  and {pluralize(len(groups) - _SHOWN_GROUPS, 'group')} more")
    return count, which.missing_ids({record.job_id for record in records})


def _confirm(deed: BulkCommand, count: int) -> None:
    """Asks before the deed.

    Raises:
        UsageError: nobody is there to answer.
        NotConfirmed: the answer was no.
    """
    what = pluralize(count, "dead letter")
    if not can_prompt():
        raise UsageError(
            f"{what} would be {deed.past_tense}; there is no terminal to ask on",
            hint="add --yes to do it unasked",
        )
    print_err(f"{deed.verb} {what}: {deed.consequence}")
    if count >= TYPE_THE_WORD:
        agreed = prompt(f"Type {deed.verb} to go on:").lower() == deed.verb
    else:
        agreed = prompt("Go on? [y/N]").lower() in ("y", "yes")
    if not agreed:
        raise NotConfirmed(f"nothing was {deed.past_tense}")
