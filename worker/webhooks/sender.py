"""The loop of a worker that sends messages about ended jobs and batches. Many wait at once, few at one receiver."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from contextlib import suppress
from typing import Any, Protocol

import structlog

from previewops.backoff import Backoff
from previewops.clock import Rng, iso_from_ms
from previewops.disclosure import for_rest
from previewops.errors import JobNotFound, RecordUnreadable
from previewops.queue.batch_errors import BatchNotFound
from previewops.queue.batches import Batch, Batches
from previewops.queue.queue import Queue
from previewops.queue.records import JobRecord
from previewops.queue.webhook_messages import WebhookMessage
from previewops.queue.webhooks import Webhooks
from previewops.tasks import cancel_and_wait
from previewops.worker.engine.redis_retry import REDIS_BACKOFF_S, FailureLog, is_survivable, is_temporary
from previewops.worker.webhooks.delivery import DeliveryFailed, DeliveryRejected

log = structlog.get_logger()

POLL_S = 1.0
"""Interval in seconds of looking for messages that are due."""

MIN_POLL_S = 0.05
"""Interval in seconds of looking for them while more are due than there were slots, and attempts end."""

MAX_CONCURRENT = 32
"""Attempts under way in one worker. One receiver gets at most half of them, two get a third each, and so on."""

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
        self._batches = Batches(queue.redis, queue.settings)
        self._poster = poster
        self._rng = rng
        self._all_jobs = all_jobs
        self._poll_s = poll_s
        self._sending: dict[asyncio.Task[None], str] = {}
        """Attempts under way and their receivers."""
        self._ended = asyncio.Event()
        """Set by the end of an attempt."""
        self._more_due = False
        """Whether the last claim left messages that were due."""

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
                await self._pause(failures)
        finally:
            await cancel_and_wait(self._sending)

    async def _pause(self, failures: int) -> None:
        """Waits for the next look: for the end of an attempt, if more are due than there were slots."""
        if failures:
            await asyncio.sleep(max(self._poll_s, REDIS_BACKOFF_S.delay(failures, self._rng)))
            return
        if not self._more_due:
            await asyncio.sleep(self._poll_s)
            return
        await asyncio.sleep(min(self._poll_s, MIN_POLL_S))
        with suppress(TimeoutError):
            await asyncio.wait_for(self._ended.wait(), self._poll_s)

    async def _start_due(self) -> None:
        self._ended.clear()
        free = MAX_CONCURRENT - len(self._sending)
        # A claim without a free slot still announces that there is a receiver.
        claimed = await self._webhooks.claim(
            free,
            all_jobs=self._all_jobs,
            under_way=Counter(self._sending.values()),
            place=self._rng.uniform(0, 1),
        )
        self._more_due = claimed.more_due
        for message in claimed.messages:
            task = asyncio.create_task(self._send_safely(message), name=f"webhook {message.id}")
            self._sending[task] = message.receiver
            task.add_done_callback(self._end)

    def _end(self, task: asyncio.Task[None]) -> None:
        del self._sending[task]
        self._ended.set()

    async def _send_safely(self, message: WebhookMessage) -> None:
        try:
            await self.send(message)
        except Exception as error:
            if not is_survivable(error):
                log.error(
                    "webhook.unhandled-error",
                    jobId=message.job_id or None,
                    batchId=message.batch_id or None,
                    exc_info=error,
                )
            # Otherwise Redis is unavailable: the message is due again when its lease ends.

    async def send(self, message: WebhookMessage) -> None:
        """Makes one attempt and records its result."""
        body = json.dumps(await self._body(message), ensure_ascii=False)
        try:
            await self._poster.post(message.id, message.url, body)
        except DeliveryRejected as error:
            log.warning(
                "webhook.rejected",
                jobId=message.job_id or None,
                batchId=message.batch_id or None,
                webhookId=message.id,
                attempt=message.attempts,
                error=str(error),
            )
            await self._webhooks.record_failed(message, str(error))
        except DeliveryFailed as error:
            log.info(
                "webhook.failed",
                jobId=message.job_id or None,
                batchId=message.batch_id or None,
                webhookId=message.id,
                attempt=message.attempts,
                error=str(error),
            )
            delay_ms = round(RETRY_MS.delay(message.attempts, self._rng))
            await self._webhooks.record_retry(message, str(error), delay_ms)
        else:
            log.info(
                "webhook.sent",
                jobId=message.job_id or None,
                batchId=message.batch_id or None,
                webhookId=message.id,
                attempt=message.attempts,
            )
            await self._webhooks.record_sent(message)

    async def _body(self, message: WebhookMessage) -> dict[str, Any]:
        if not message.batch_id:
            return build_body(message, await self._record(message))
        try:
            batch = await self._batches.status(message.batch_id)
        except BatchNotFound:
            batch = None
        return build_batch_body(message, batch)

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
        data = for_rest({name: value for name, value in record.as_json().items() if name not in _OMITTED})
    return {
        "type": f"preview.{message.state}",
        "timestamp": iso_from_ms(message.ended_ms),
        "data": data,
    }


def build_batch_body(message: WebhookMessage, batch: Batch | None) -> dict[str, Any]:
    """Returns the body of a message about a batch, with the batch as its status shows it.

    A batch that has expired, or runs again since, has its ids and state only.
    """
    data: dict[str, Any] = {
        "batchId": message.batch_id,
        "projectId": message.project_id,
        "status": message.state,
        "finishedAt": iso_from_ms(message.ended_ms),
    }
    if batch is not None and batch.ended_ms == message.ended_ms:
        data = batch.as_json()
    return {"type": "batch.completed", "timestamp": iso_from_ms(message.ended_ms), "data": data}
