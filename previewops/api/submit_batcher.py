"""Batches concurrent submits into one round trip.

While a call is in flight, further submits are collected for the next call. A single submit is sent at once; under
load, one call carries dozens.
"""

from __future__ import annotations

import asyncio

from previewops.contract import Payload
from previewops.queue.pending_quota import PendingQuota
from previewops.queue.queue import Queue, Receipt
from previewops.queue.submit_options import NO_OPTIONS, SubmitOptions
from previewops.redis_server.connection import redis_errors

MAX_BATCH = 100
REPLY_TIMEOUT_S = 5.0
"""Time in seconds for one call."""

_Waiting = tuple[Payload, PendingQuota | None, SubmitOptions, "asyncio.Future[Receipt]"]


class SubmitBatcher:
    """Submits single jobs in batches."""

    def __init__(self, queue: Queue, url: str) -> None:
        self._queue = queue
        self._url = url
        self._waiting: list[_Waiting] = []
        self._invalid = 0
        self._call: asyncio.Task[None] | None = None

    def count_invalid(self, count: int = 1) -> None:
        """Counts invalid submits in the background; their responses do not wait for Redis."""
        self._invalid += count
        self._start()

    async def submit(
        self, payload: Payload, quota: PendingQuota | None = None, options: SubmitOptions = NO_OPTIONS
    ) -> Receipt:
        """Submits one job.

        Raises:
            JobConflict: a job with this id and another payload exists.
            QueueFull: the queue has reached its maximum length.
            QuotaExceeded: ``quota`` is used up.
            RedisUnavailable: Redis failed before it confirmed the job.
        """
        future: asyncio.Future[Receipt] = asyncio.get_running_loop().create_future()
        self._waiting.append((payload, quota, options, future))
        self._start()
        return await future

    async def wait_until_idle(self) -> None:
        """Waits until no call is in flight."""
        while self._call is not None:
            await self._call

    def _start(self) -> None:
        if self._call is None:
            self._call = asyncio.create_task(self._submit_all())

    async def _submit_all(self) -> None:
        try:
            while self._waiting or self._invalid:
                batch, self._waiting = self._waiting[:MAX_BATCH], self._waiting[MAX_BATCH:]
                await self._submit(batch)
        finally:
            self._call = None

    async def _submit(self, batch: list[_Waiting]) -> None:
        # The count is not retried: whether it was applied is unknown.
        invalid, self._invalid = self._invalid, 0
        try:
            async with redis_errors(self._url), asyncio.timeout(REPLY_TIMEOUT_S):
                results = await self._queue.submit_many(
                    [payload for payload, *_ in batch],
                    invalid=invalid,
                    quotas=[quota for _, quota, *_ in batch],
                    options=[options for *_, options, _ in batch],
                )
        except Exception as error:
            # Submits collected during this call fail too, rather than wait for another call.
            batch += self._waiting
            self._waiting, self._invalid = [], 0
            for *_, future in batch:
                _resolve(future, error)
            return
        for (*_, future), result in zip(batch, results, strict=True):
            _resolve(future, result)


def _resolve(future: asyncio.Future[Receipt], result: Receipt | Exception) -> None:
    if future.done():  # the waiting request was cancelled
        return
    if isinstance(result, Exception):
        future.set_exception(result)
    else:
        future.set_result(result)
