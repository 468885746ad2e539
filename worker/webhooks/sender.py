"""The loop of a worker that sends messages about the end of jobs. Never in the way of renders: few at a time."""

from __future__ import annotations

import asyncio
import json
from typing import Any, Protocol

import structlog

from previewops.backoff import Backoff
from previewops.clock import Rng, iso_from_ms
from previewops.disclosure import for_rest
from previewops.errors import JobNotFound, RecordUnreadable
from previewops.queue.queue import Queue
from previewops.queue.records import JobRecord
from previewops.queue.webhooks import WebhookMessage, Webhooks
from previewops.tasks import cancel_and_wait
from previewops.worker.engine.redis_retry import REDIS_BACKOFF_S, FailureLog, is_survivable, is_temporary
from previewops.worker.webhooks.delivery import DeliveryFailed, DeliveryRejected

log = structlog.get_logger()

POLL_S = 1.0
"""Interval in seconds of looking for messages that are due."""

MAX_CONCURRENT = 8
RETRY_MS = Backoff(5_000, 2 * 3_600_000)
"""Delays in ms of the next attempt."""

_OMITTED = ("history", "attemptsDropped", "phase", "progress", "worker")
"""Fields of a status that a message does not have: large, or about a running job."""


class Poster(Protocol):
    """What delivers one message; see ``Delivery``."""

    async def post(self, message_id: str, url: str, body: str) -> None:
        """Sends a message. Raises DeliveryFailed, DeliveryRejected."""


class WebhookSender:
    """Sends the messages of one queue. ``all_jobs``: there is a receiver for every job."""

    def __init__(
        self,
        webhooks: Webhooks,
        queue: Queue,
        poster: Poster,
        rng: Rng,
        *,
        all_jobs: bool,
        poll_s: float = POLL_S,
    ) -> None:
        self._webhooks = webhooks
        self._queue = queue
        self._poster = poster
        self._rng = rng
        self._all_jobs = all_jobs
        self._poll_s = poll_s
        self._sending: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Sends messages until it is cancelled. A cancelled attempt is repeated by another worker.

        Raises:
            Exception: an error that a retry cannot fix.
        """
        failures = 0
        failed_calls = FailureLog()
        try:
            while True:
                try:
                    await self._start_due()
                    failures = 0
                    failed_calls.reset()
                except Exception as error:
                    if not is_survivable(error):
                        raise
                    failures += 1
                    if not is_temporary(error):
                        failed_calls.add(error)
                await asyncio.sleep(
                    max(self._poll_s, REDIS_BACKOFF_S.delay(failures, self._rng))
                    if failures
                    else self._poll_s
                )
        finally:
            await cancel_and_wait(self._sending)

    async def _start_due(self) -> None:
        free = MAX_CONCURRENT - len(self._sending)
        # A claim without room still announces that there is a receiver.
        for message in await self._webhooks.claim(free, all_jobs=self._all_jobs):
            task = asyncio.create_task(self._send_safely(message), name=f"webhook {message.id}")
            self._sending.add(task)
            task.add_done_callback(self._sending.discard)

    async def _send_safely(self, message: WebhookMessage) -> None:
        try:
            await self.send(message)
        except Exception as error:
            if not is_survivable(error):
                log.error("webhook.unhandled-error", jobId=message.job_id, exc_info=error)
            # Otherwise Redis is unavailable: the message is due again when its lease ends.

    async def send(self, message: WebhookMessage) -> None:
        """Makes one attempt and records its result."""
        body = json.dumps(build_body(message, await self._record(message)), ensure_ascii=False)
        try:
            await self._poster.post(message.id, message.url, body)
        except DeliveryRejected as error:
            log.warning(
                "webhook.rejected",
                jobId=message.job_id,
                webhookId=message.id,
                attempt=message.attempts,
                error=str(error),
            )
            await self._webhooks.record_failed(message, str(error))
        except DeliveryFailed as error:
            log.info(
                "webhook.failed",
                jobId=message.job_id,
                webhookId=message.id,
                attempt=message.attempts,
                error=str(error),
            )
            delay_ms = round(RETRY_MS.delay(message.attempts, self._rng))
            await self._webhooks.record_retry(message, str(error), delay_ms)
        else:
            log.info("webhook.sent", jobId=message.job_id, webhookId=message.id, attempt=message.attempts)
            await self._webhooks.record_sent(message)

    async def _record(self, message: WebhookMessage) -> JobRecord | None:
        try:
            return await self._queue.status(message.job_id)
        except (JobNotFound, RecordUnreadable):
            return None


def build_body(message: WebhookMessage, record: JobRecord | None) -> dict[str, Any]:
    """Returns the body: ``type``, ``timestamp`` of the end, and ``data`` with the job as its status shows it.

    A job that was deleted, or has started again since, has its ids and the state that it ended in.
    """
    data: dict[str, Any] = {
        "jobId": message.job_id,
        "projectId": message.project_id,
        "status": message.state,
        "finishedAt": iso_from_ms(message.ended_ms),
    }
    if record is not None and (record.state.value, record.finished_ms) == (message.state, message.ended_ms):
        job = for_rest(record.as_json())
        data = {name: value for name, value in job.items() if name not in _OMITTED}
    return {
        "type": f"preview.{message.state}",
        "timestamp": iso_from_ms(message.ended_ms),
        "data": data,
    }
