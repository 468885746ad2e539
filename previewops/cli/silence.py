"""``previewops silence`` and ``previewops unsilence``."""

from __future__ import annotations

import click

from previewops.cli.context import Context, pass_context
from previewops.cli.output import print_out
from previewops.cli.shared_options import Age, reason_option
from previewops.clock import iso_from_ms
from previewops.errors import UsageError
from previewops.health import CHECKS
from previewops.snapshot.silences import LEVELS, MAX_SILENCE_MS

_check_argument = click.argument("check", type=click.Choice(CHECKS), metavar="CHECK")


@click.command(
    epilog="""\b
Examples:
  previewops silence dead-letters --for 2h --reason "known, fixed in the next release"
  previewops silence oldest-waiting --for 30m --level critical --reason "a large import"

\b
CHECK is a name of `previewops health`. The check is still shown, with the
operator, the reason and the end, but does not count in the exit code. It does
again when it becomes worse than --level.
"""
)
@_check_argument
@click.option(
    "--for",
    "for_ms",
    metavar="AGE",
    type=Age(min_ms=1_000),
    required=True,
    help="How long: 30m, 2h, at most 30d.",
)
@click.option(
    "--level",
    type=click.Choice(LEVELS),
    default="warning",
    show_default=True,
    help="Highest status that is silenced.",
)
@click.option("--reason", metavar="TEXT", required=True, help="Reason; shown with the check.")
@pass_context
def silence(context: Context, check: str, for_ms: int, level: str, reason: str) -> None:
    """Silence a health check for a time. It is recorded as an event."""
    if for_ms > MAX_SILENCE_MS:
        raise UsageError("--for: found more than 30d, allowed at most 30d")
    until_ms = context.change(
        lambda queue: queue.silence(check, for_ms=for_ms, level=level, who=context.operator, reason=reason)
    )
    print_out(
        f"{check} is silenced up to {level} until {iso_from_ms(until_ms)[:19]}Z; "
        f"`previewops unsilence {check}` ends it"
    )


@click.command(
    epilog="""\b
Examples:
  previewops unsilence dead-letters
"""
)
@_check_argument
@reason_option
@pass_context
def unsilence(context: Context, check: str, reason: str) -> None:
    """End the silence of a health check."""
    ended = context.change(lambda queue: queue.end_silence(check, who=context.operator, reason=reason))
    print_out(f"{check} {'is heard again' if ended else 'was not silenced'}")
