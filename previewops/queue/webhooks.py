"""Messages about the end of jobs: queued by the transition itself, sent by workers, kept when they fail."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from previewops.disclosure import redact
from previewops.errors import UsageError
from previewops.queue.keys import Keys
from previewops.queue.scripts import ScriptName, Scripts
from previewops.queue.webhook_messages import (
    ClaimedWebhooks,
    WebhookBacklog,
    WebhookList,
    WebhookMessage,
)
from previewops.secret_files import read_secret_setting
from previewops.setting_values import parse_webhook_secret
from previewops.settings import Settings

if TYPE_CHECKING:
    from redis.asyncio import Redis

LEASE_MS = 60_000
"""Time in ms for one attempt. Another worker repeats it then: a message may arrive twice, never less than once."""

KEPT_MS = 7 * 86_400_000
"""Time in ms for which ends of jobs are queued while no worker runs that sends them."""

MAX_AGE_MS = 86_400_000
"""Time in ms for which a message is tried."""

MAX_LISTED = 1_000
MAX_ERROR_CHARS = 500

_EXAMINED = 20
_FIELDS = 9
_CLAIMED_FIELDS = 8


def read_webhook_secret(settings: Settings) -> str:
    """Returns the secret of PREVIEW_WEBHOOK_SECRET or its file.

    Raises:
        UsageError: there is none, or the file has no valid one.
    """
    if settings.webhook_secret_file is not None:
        variable = "PREVIEW_WEBHOOK_SECRET_FILE"
        return parse_webhook_secret(variable, read_secret_setting(variable, settings.webhook_secret_file))
    if settings.webhook_secret is None:
        raise UsageError(
            "PREVIEW_WEBHOOK_SECRET: found no secret, allowed one for PREVIEW_WEBHOOK_URL and PREVIEW_WEBHOOK_HOSTS",
            hint='create one: echo "whsec_$(openssl rand -base64 32)"',
        )
    return settings.webhook_secret


class Webhooks:
    """The messages of one queue."""

    def __init__(self, redis: Redis, settings: Settings) -> None:
        self._scripts = Scripts(redis, Keys(settings.queue_name))

    async def claim(
        self, free: int, *, all_jobs: bool, under_way: Mapping[str, int] | None = None, place: float = 0.0
    ) -> ClaimedWebhooks:
        """Takes messages that are due for ``free`` slots, and leaves some of them for other receivers.

        Args:
            free: a receiver gets another message while it has fewer under way than slots are free.
            all_jobs: every job has a receiver from now on.
            under_way: number of messages that are being sent, by receiver.
            place: which part of a long backlog to examine besides its ends, 0 to 1; random.
        """
        pairs = [field for item in (under_way or {}).items() for field in item]
        more_due, *reply = await self._scripts.run(
            ScriptName.CLAIM_WEBHOOKS, LEASE_MS, free, int(all_jobs), KEPT_MS, place, *pairs
        )
        rows = [reply[at : at + _CLAIMED_FIELDS] for at in range(0, len(reply), _CLAIMED_FIELDS)]
        return ClaimedWebhooks(tuple(_decode([*row, b""]) for row in rows), more_due == 1)

    async def record_sent(self, message: WebhookMessage) -> None:
        """Records that the receiver accepted a message."""
        await self._finish(message, "sent", 0, "")

    async def record_retry(self, message: WebhookMessage, error: str, delay_ms: int) -> None:
        """Records a failed attempt. The next one follows after ``delay_ms``, unless that is beyond ``MAX_AGE_MS``."""
        await self._finish(message, "retry", delay_ms, error)

    async def record_failed(self, message: WebhookMessage, error: str) -> None:
        """Records a failure that a retry does not cure."""
        await self._finish(message, "failed", 0, error)

    async def _finish(self, message: WebhookMessage, result: str, delay_ms: int, error: str) -> None:
        await self._scripts.run(
            ScriptName.FINISH_WEBHOOK,
            message.id,
            message.attempts,
            result,
            delay_ms,
            redact(error)[:MAX_ERROR_CHARS],
            MAX_AGE_MS,
        )

    async def list_messages(self, *, failed: bool, limit: int = 100) -> WebhookList:
        """Returns the oldest messages that failed, or that are to be sent."""
        kind = "failed" if failed else "waiting"
        total, *rest = await self._scripts.run(ScriptName.LIST_WEBHOOKS, kind, min(limit, MAX_LISTED))
        rows = [rest[at : at + _FIELDS] for at in range(0, len(rest), _FIELDS)]
        return WebhookList(int(total), tuple(map(_decode, rows)))

    async def backlog(self) -> WebhookBacklog:
        """Counts the messages, at a cost that is independent of their number."""
        reply = await self._scripts.run(ScriptName.WEBHOOK_BACKLOG, _EXAMINED)
        return WebhookBacklog(*map(int, reply))

    async def resend(self, ids: Sequence[str], *, who: str, limit: int = MAX_LISTED) -> int:
        """Queues failed messages again: those of ``ids``, or the oldest if there are none. Returns their number."""
        return int(await self._scripts.run(ScriptName.RESEND_WEBHOOKS, limit, who, *ids))


def _decode(row: Sequence[Any]) -> WebhookMessage:
    texts = [value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value) for value in row]
    name, attempts, job_id, project_id, state, url, ended, batch_id, error = texts
    return WebhookMessage(
        name, _number(attempts), job_id, project_id, state, url, _number(ended), batch_id, error
    )


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 18 else 0
