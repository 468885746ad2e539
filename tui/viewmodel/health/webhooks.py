"""Webhook messages: those that failed, then those that are to be sent."""

from __future__ import annotations

from previewops.formatting import clean
from previewops.queue.webhook_messages import WebhookList, WebhookMessage
from previewops.tui.viewmodel.spans import Line, Span, Tone, clean_span

LISTED = 10
"""Messages of each kind that are listed; the others are counted."""


def format_webhook_lines(failed: WebhookList, waiting: WebhookList) -> tuple[Line, ...]:
    """The oldest messages of each kind, with the error of the last attempt."""
    mark, tone = ("✖", Tone.BAD) if failed.total else ("✓", Tone.DIM)
    return (
        *_list(f"{mark} {failed.total:,} failed for good", tone, failed),
        (),
        *_list(f"○ {waiting.total:,} to be sent", Tone.STRONG if waiting.total else Tone.DIM, waiting),
    )


def _list(title: str, tone: Tone, webhooks: WebhookList) -> list[Line]:
    lines: list[Line] = [(Span(title, tone),)]
    for message in webhooks.messages[:LISTED]:
        lines.append(_message(message))
        if message.error:
            lines.append((clean_span(f"    {message.error}", Tone.DIM),))
    more = webhooks.total - len(webhooks.messages[:LISTED])
    if more > 0:
        lines.append((Span(f"  and {more:,} more: `previewops webhooks list`", Tone.DIM),))
    return lines


def _message(message: WebhookMessage) -> Line:
    receiver = message.receiver or "the receiver of all jobs"
    return (
        clean_span(f"  {message.job_id or message.batch_id} ", Tone.TEXT),
        clean_span(f"{message.state}, attempt {message.attempts}, to {clean(receiver)}", Tone.DIM),
    )
