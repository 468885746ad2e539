"""``previewops pause`` and ``previewops resume``."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import click

from previewops.cli.context import Context, pass_context, server_now_ms
from previewops.cli.output import print_out
from previewops.formatting import format_age

if TYPE_CHECKING:
    from previewops.queue.queue import PauseState


@click.command(
    epilog="""\b
Examples:
  previewops pause
  previewops pause --reason "storage is being moved"
"""
)
@click.option("--reason", metavar="TEXT", default="", help="Reason; shown to operators.")
@pass_context
def pause(context: Context, reason: str) -> None:
    """Stop workers from claiming jobs. Active jobs continue, and submits are accepted."""
    state, now_ms = asyncio.run(_pause(context, reason))
    queue = context.settings.queue_name
    if state.changed:
        print_out(f"paused {queue}; resume with `previewops resume`")
        return
    why = f": {state.why}" if state.why else ""
    print_out(
        f"{queue} is already paused, by {state.who or 'unknown'} {format_age(state.since_ms, now_ms)}{why}"
    )


@click.command(
    epilog="""\b
Examples:
  previewops resume
  previewops --queue lessons resume --reason "storage is back"
"""
)
@click.option("--reason", metavar="TEXT", default="", help="Reason; recorded with the event.")
@pass_context
def resume(context: Context, reason: str) -> None:
    """Let workers claim jobs again."""
    state = asyncio.run(_resume(context, reason))
    print_out(f"{context.settings.queue_name} {'resumed' if state.changed else 'was not paused'}")


async def _pause(context: Context, reason: str) -> tuple[PauseState, int]:
    from previewops.cli.acting_operator import acting_operator
    from previewops.queue.queue import Queue

    async with context.redis() as redis:
        state = await Queue(redis, context.settings).pause(who=acting_operator(), why=reason)
        return state, await server_now_ms(redis)


async def _resume(context: Context, reason: str) -> PauseState:
    from previewops.cli.acting_operator import acting_operator
    from previewops.queue.queue import Queue

    async with context.redis() as redis:
        return await Queue(redis, context.settings).resume(who=acting_operator(), why=reason)
