"""Messages about the end of jobs, as values."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from previewops.clock import optional_iso
from previewops.disclosure import hide_query


@dataclass(frozen=True, slots=True)
class WebhookMessage:
    """One message: ``url`` is the receiver that the job names, "" for PREVIEW_WEBHOOK_URL.

    ``state`` is the one that the job ended in at ``ended_ms`` (server ms). ``attempts`` counts those that began.
    ``batch_id`` is "" unless the message is about a batch; then there is no job.
    """

    id: str
    attempts: int
    job_id: str
    project_id: str
    state: str
    url: str
    ended_ms: int
    batch_id: str = ""
    error: str = ""

    @property
    def receiver(self) -> str:
        """Scheme, host and port of ``url``, as ``receiver_of_url`` of lua/include/webhooks.lua; "" without one."""
        match = re.match(r"[A-Za-z]+://[^/?#]*", self.url)
        return match[0] if match else ""

    def as_json(self) -> dict[str, Any]:
        """The message as JSON, for operators; without the query of its address, which may be a secret."""
        return {
            "id": self.id,
            "jobId": self.job_id or None,
            "batchId": self.batch_id or None,
            "projectId": self.project_id,
            "status": self.state,
            "finishedAt": optional_iso(self.ended_ms),
            "url": hide_query(self.url) or None,
            "attempts": self.attempts,
            "error": self.error or None,
        }


@dataclass(frozen=True, slots=True)
class ClaimedWebhooks:
    """Messages that were taken for an attempt. ``more_due``: others are due, for which there was no slot."""

    messages: tuple[WebhookMessage, ...]
    more_due: bool


@dataclass(frozen=True, slots=True)
class WebhookList:
    """The oldest messages of a kind, and the number of all."""

    total: int
    messages: tuple[WebhookMessage, ...]


@dataclass(frozen=True, slots=True)
class WebhookBacklog:
    """Numbers of messages that failed and that are to be sent, and the age in ms of the oldest of the latter."""

    failed: int
    waiting: int
    oldest_ms: int
