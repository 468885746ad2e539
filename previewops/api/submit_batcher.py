"""Puts submits that arrive together into one round trip.

While one call is under way others gather, and go with the next one. Alone, a submit waits for nobody; under load
Redis is asked once for dozens.
"""

from __future__ import annotations

import asyncio

from previewops.contract import Payload
from previewops.queue.queue import Queue, Receipt
from previewops.redis_server.connection import redis_errors

MAX_BATCH = 100
REPLY_TIMEOUT_S = 5.0
"""How long the call for all of them may take."""

_Waiting = tuple[Payload, "asyncio.Future[Receipt]"]


class SubmitBatcher:
    """The way of single jobs into the queue."""

    def __init__(self, queue: Queue, url: str) -> None:
        self._queue = queue
        self._url = url
        self._waiting: list[_Waiting] = []
        self._invalid = 0
        self._call: asyncio.Task[None] | None = None

    def count_invalid(self, count: int = 1) -> None:
        """Has submits counted that break the contract; the answer to them waits neither for this nor for Redis."""
        self._invalid += count
        self._begin()

    async def submit(self, payload: Payload) -> Receipt:
        """Submits one job.

        Raises:
            JobConflict: the id is taken by a job with another body.
            QueueFull: the backlog has reached its bound.
            RedisUnavailable: Redis failed before it said that it has the job.
        """
        future: asyncio.Future[Receipt] = asyncio.get_running_loop().create_future()
        self._waiting.append((payload, future))
        self._begin()
        return await future

    async def wait_until_idle(self) -> None:
        """Waits until nothing is under way."""
        while self._call is not None:
            await self._call

    def _begin(self) -> None:
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
        # What could not be counted is not tried again: whether it was is not known.
        invalid, self._invalid = self._invalid, 0
        try:
            async with redis_errors(self._url), asyncio.timeout(REPLY_TIMEOUT_S):
                answers = await self._queue.submit_many([payload for payload, _ in batch], invalid=invalid)
        except Exception as error:
            # Those who came meanwhile have waited for this call; they are not made to wait for one more.
            batch += self._waiting
            self._waiting, self._invalid = [], 0
            for _, future in batch:
                _settle(future, error)
            return
        for (_, future), found in zip(batch, answers, strict=True):
            _settle(future, found)


def _settle(future: asyncio.Future[Receipt], found: Receipt | Exception) -> None:
    if future.done():  # whoever waited was cancelled
        return
    if isinstance(found, Exception):
        future.set_exception(found)
    else:
        future.set_result(found)
