"""``previewops pause`` and ``previewops resume``."""

from __future__ import annotations

import click

from previewops.cli.context import Context, pass_context, with_time
from previewops.cli.output import print_out
from previewops.cli.shared_options import reason_option
from previewops.formatting import format_age


@click.command(
    epilog="""\b
Examples:
  previewops pause
  previewops pause --reason "storage is being moved"
"""
)
@reason_option
@pass_context
def pause(context: Context, reason: str) -> None:
    """Stop workers from claiming jobs. Active jobs continue, and submits are accepted."""
    state, now_ms = context.change(
        lambda queue: with_time(queue, queue.pause(who=context.operator, reason=reason))
    )
    queue_name = context.settings.queue_name
    if state.changed:
        print_out(f"paused {queue_name}; resume with `previewops resume`")
        return
    first_reason = f": {state.reason}" if state.reason else ""
    since = format_age(state.since_ms, now_ms)
    print_out(f"{queue_name} is already paused, by {state.who or 'unknown'} {since}{first_reason}")


@click.command(
    epilog="""\b
Examples:
  previewops resume
  previewops --queue lessons resume --reason "storage is back"
"""
)
@reason_option
@pass_context
def resume(context: Context, reason: str) -> None:
    """Let workers claim jobs again."""
    state = context.change(lambda queue: queue.resume(who=context.operator, reason=reason))
    print_out(f"{context.settings.queue_name} {'resumed' if state.changed else 'was not paused'}")
