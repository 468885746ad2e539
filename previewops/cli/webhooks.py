"""``previewops webhooks``: messages about the end of jobs that failed or are still to be sent."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from previewops.cli.context import Context, pass_context
from previewops.cli.output import print_json, print_out
from previewops.cli.shared_options import json_option
from previewops.formatting import clean

if TYPE_CHECKING:
    from previewops.queue.queue import Queue
    from previewops.queue.webhook_messages import WebhookList, WebhookMessage


@click.group(
    epilog="""\b
Examples:
  previewops webhooks list
  previewops webhooks resend
  previewops webhooks resend msg_1795900500000000
"""
)
def webhooks() -> None:
    """List webhook messages, or send failed ones again."""


@webhooks.command(name="list")
@click.option("--waiting", is_flag=True, help="Those to be sent, instead of those that failed.")
@click.option("--limit", type=click.IntRange(1, 1000), default=100, show_default=True, help="Maximum number.")
@json_option
@pass_context
def list_(context: Context, *, waiting: bool, limit: int, as_json: bool) -> None:
    """List the oldest messages that failed: after a day of retries, or because their receiver is not allowed."""
    from previewops.queue.webhooks import Webhooks

    async def read(queue: Queue) -> WebhookList:
        return await Webhooks(queue.redis, context.settings).list_messages(failed=not waiting, limit=limit)

    page = context.call(read)
    if as_json:
        print_json({"total": page.total, "messages": [message.as_json() for message in page.messages]})
        return
    print_out(f"{page.total} {'to be sent' if waiting else 'failed'}")
    print_out(_line(message) for message in page.messages)


@webhooks.command()
@click.argument("ids", nargs=-1, metavar="[ID]...")
@json_option
@pass_context
def resend(context: Context, *, ids: tuple[str, ...], as_json: bool) -> None:
    """Send failed messages again: those of the given ids, else the oldest 1,000. They are tried for another day."""
    from previewops.queue.webhooks import Webhooks

    async def send(queue: Queue) -> int:
        return await Webhooks(queue.redis, context.settings).resend(ids, who=context.operator)

    count = context.call(send)
    if as_json:
        print_json({"resent": count})
    else:
        print_out(f"{count} queued again")


def _line(message: WebhookMessage) -> str:
    error = f"  {clean(message.error)}" if message.error else ""
    subject = clean(message.job_id or message.batch_id)
    return f"{message.id}  {subject}  {message.state}  attempts {message.attempts}{error}"
