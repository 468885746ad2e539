"""``previewops dlq requeue`` and ``previewops dlq discard``: count first, say what, ask, act, account."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from previewops.cli.context import Context, pass_context
from previewops.cli.dlq.choice import choice_options, chosen
from previewops.cli.output import ask, can_ask, say, tell
from previewops.errors import EXIT_FAILED, PreviewopsError, UsageError
from previewops.states import Priority
from previewops.text import plural, table

if TYPE_CHECKING:
    from previewops.deadletters import DeadLetters
    from previewops.listviews import BulkOutcome, DeadFilter

LOOKED_AT = 10_000
"""Of more dead letters than this, the newest are shown by group, and all are counted."""

TYPE_THE_WORD = 100
"""From so many on a y is too easily typed."""

_SHOWN_GROUPS = 10

Act = Callable[["DeadLetters", int], Awaitable["BulkOutcome"]]
"""Is told the cut-off (server ms) that what was shown went by."""


class NotConfirmed(PreviewopsError):
    """The person said no."""

    code = "not-confirmed"


@dataclass(frozen=True, slots=True)
class Deed:
    """A bulk act in words: what is typed, and what is reported."""

    verb: str
    done: str
    consequence: str


_REQUEUE = Deed("requeue", "requeued", "they run again, attempts counted from nought")
_DISCARD = Deed("discard", "discarded", "they are deleted for good, payloads included")

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
@choice_options
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
    from previewops.cli.who import operator

    which = chosen(**choice, needed=True)
    single = len(which.job_ids) == 1
    rank = None if priority is None else Priority(priority)
    if file is not None:
        from previewops.cli.dlq.amend import requeue_with

        asyncio.run(requeue_with(context, file, which, why=reason, priority=rank))
        return 0

    async def act(letters: DeadLetters, cut_off_ms: int) -> BulkOutcome:
        return await letters.requeue(which, who=operator(), why=reason, priority=rank, cut_off_ms=cut_off_ms)

    return asyncio.run(_run(context, which, _REQUEUE, act, confirmed=yes or single))


@click.command(
    epilog="""\b
Examples:
  previewops dlq discard lesson-1
  previewops dlq discard --project trials --older-than 30d
  previewops dlq discard --all --yes --reason "storage was reset"
"""
)
@choice_options
@_reason
@_yes
@pass_context
def discard(context: Context, /, reason: str, yes: bool, **choice: Any) -> int:
    """Delete dead letters for good. Says how many and what, and asks.

    `previewops dlq export` keeps them in a file before.
    """
    from previewops.cli.who import operator

    which = chosen(**choice, needed=True)

    async def act(letters: DeadLetters, cut_off_ms: int) -> BulkOutcome:
        return await letters.discard(which, who=operator(), why=reason, cut_off_ms=cut_off_ms)

    return asyncio.run(_run(context, which, _DISCARD, act, confirmed=yes))


async def _run(context: Context, which: DeadFilter, deed: Deed, act: Act, *, confirmed: bool) -> int:
    from previewops.deadletters import DeadLetters

    async with context.redis() as redis:
        letters = DeadLetters(redis, context.settings)
        cut_off_ms = await letters.now_ms()
        count, missing = await _preview(letters, which, cut_off_ms)
        if missing:
            tell(f"not in the dead-letter queue: {', '.join(missing)}")
        if count and not confirmed:
            _confirm(deed, count)
        outcome = await act(letters, cut_off_ms) if count else None
    done, skipped = (outcome.done, outcome.skipped) if outcome else (0, 0)
    say(f"{deed.done} {done}, skipped {skipped + len(missing)}")
    return EXIT_FAILED if missing else 0


async def _preview(letters: DeadLetters, which: DeadFilter, cut_off_ms: int) -> tuple[int, tuple[str, ...]]:
    """Tells how many dead letters are meant and of what kinds; returns their number and the JOBs that are none."""
    from previewops.cli.dlq.groups import grouped

    records = await letters.newest(which, limit=LOOKED_AT, cut_off_ms=cut_off_ms)
    few = len(records) < LOOKED_AT
    count = len(records) if few else await letters.count(which, cut_off_ms=cut_off_ms)
    if count:
        groups = grouped(records)
        of = "" if count == len(records) else f", here the newest {LOOKED_AT:,}"
        tell(f"{plural(count, 'dead letter')} in {plural(len(groups), 'group')}{of}:")
        rows = [
            (group.count, group.fingerprint, group.example.code or "", group.example.reason or "")
            for group in groups[:_SHOWN_GROUPS]
        ]
        lines = table(("COUNT", "GROUP", "ERROR", "REASON"), rows, right=("COUNT",), flexible="REASON")
        tell(f"  {line}" for line in lines)
        if len(groups) > _SHOWN_GROUPS:
            tell(f"  and {plural(len(groups) - _SHOWN_GROUPS, 'group')} more")
    return count, which.missing({record.job_id for record in records})


def _confirm(deed: Deed, count: int) -> None:
    """Asks before the deed.

    Raises:
        UsageError: nobody is there to answer.
        NotConfirmed: the answer was no.
    """
    what = plural(count, "dead letter")
    if not can_ask():
        raise UsageError(
            f"{what} would be {deed.done}; there is no terminal to ask on", hint="add --yes to do it unasked"
        )
    tell(f"{deed.verb} {what}: {deed.consequence}")
    if count >= TYPE_THE_WORD:
        agreed = ask(f"Type {deed.verb} to go on:").lower() == deed.verb
    else:
        agreed = ask("Go on? [y/N]").lower() in ("y", "yes")
    if not agreed:
        raise NotConfirmed(f"nothing was {deed.done}")
