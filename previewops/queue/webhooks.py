"""Messages about the end of jobs: queued by the transition itself, sent by workers, kept when they fail."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from previewops.clock import optional_iso
from previewops.disclosure import hide_query, redact
from previewops.errors import UsageError
from previewops.queue.keys import Keys
from previewops.queue.scripts import ScriptName, Scripts
from previewops.secret_files import read_secret_setting
from previewops.settings import Settings, parse_webhook_secret

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

_FIELDS = 8
_CLAIMED_FIELDS = 7


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


@dataclass(frozen=True, slots=True)
class WebhookMessage:
    """One message: ``url`` is the receiver that the job names, "" for PREVIEW_WEBHOOK_URL.

    ``state`` is the one that the job ended in at ``ended_ms`` (server ms). ``attempts`` counts those that began.
    """

    id: str
    attempts: int
    job_id: str
    project_id: str
    state: str
    url: str
    ended_ms: int
    error: str = ""

    def as_json(self) -> dict[str, Any]:
        """The message as JSON, for operators; without the query of its address, which may be a secret."""
        return {
            "id": self.id,
            "jobId": self.job_id,
            "projectId": self.project_id,
            "status": self.state,
            "finishedAt": optional_iso(self.ended_ms),
            "url": hide_query(self.url) or None,
            "attempts": self.attempts,
            "error": self.error or None,
        }


@dataclass(frozen=True, slots=True)
class WebhookList:
    """The oldest messages of a kind, and the number of all."""

    total: int
    messages: tuple[WebhookMessage, ...]


class Webhooks:
    """The messages of one queue."""

    def __init__(self, redis: Redis, settings: Settings) -> None:
        self._scripts = Scripts(redis, Keys(settings.queue_name))

    async def claim(self, limit: int, *, all_jobs: bool) -> list[WebhookMessage]:
        """Takes up to ``limit`` messages that are due. ``all_jobs``: every job has a receiver from now on."""
        reply = await self._scripts.run(ScriptName.CLAIM_WEBHOOKS, LEASE_MS, limit, int(all_jobs), KEPT_MS)
        return [
            _decode([*reply[at : at + _CLAIMED_FIELDS], b""]) for at in range(0, len(reply), _CLAIMED_FIELDS)
        ]

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

    async def resend(self, ids: Sequence[str], *, who: str, limit: int = MAX_LISTED) -> int:
        """Queues failed messages again: those of ``ids``, or the oldest if there are none. Returns their number."""
        return int(await self._scripts.run(ScriptName.RESEND_WEBHOOKS, limit, who, *ids))


def _decode(row: Sequence[Any]) -> WebhookMessage:
    texts = [value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value) for value in row]
    name, attempts, job_id, project_id, state, url, ended, error = texts
    return WebhookMessage(name, _number(attempts), job_id, project_id, state, url, _number(ended), error)


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 18 else 0
