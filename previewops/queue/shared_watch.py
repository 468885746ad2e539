"""Follows any number of jobs over two connections: one subscription for all ends, one read at a time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

from previewops.queue.records import JobRecord
from previewops.states import JobState
from previewops.tasks import cancel_and_wait

if TYPE_CHECKING:
    from redis.asyncio import Redis
    from redis.asyncio.client import PubSub

ReadRecords = Callable[[Sequence[str], Callable[[str, Exception], None]], Awaitable[Sequence[JobRecord]]]

_STATES = {state.value.encode(): state for state in JobState}

READ_BATCH = 500
"""Maximum records per read."""
CHECK_INTERVAL_S = 1.0
"""Interval in seconds at which the subscription checks that its server is still the primary."""


class JobEnd:
    """The end of one job, as published by the server, for one caller."""

    def __init__(self) -> None:
        self._changed = asyncio.Event()
        self._state: JobState | None = None
        self._error: Exception | None = None

    async def wait(self, timeout_s: float) -> JobState | None:
        """Returns the state in which the job ended since the last call, or None after ``timeout_s`` seconds.

        Raises:
            redis.exceptions.RedisError, OSError: the subscription is lost.
        """
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._changed.wait()
        if self._error is not None:
            raise self._error
        self._changed.clear()
        state, self._state = self._state, None
        return state

    def publish(self, state: JobState) -> None:
        """Wakes the caller of :meth:`wait`."""
        self._state = state
        self._changed.set()

    def fail(self, error: Exception) -> None:
        """Raises ``error`` in every later :meth:`wait`."""
        self._error = error
        self._changed.set()


class _Channel:
    """Subscription to the channel of one job, and the callers that share it."""

    def __init__(self) -> None:
        self.ends: set[JobEnd] = set()
        self.subscribed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def publish(self, state: JobState) -> None:
        for end in self.ends:
            end.publish(state)

    def confirm(self) -> None:
        if not self.subscribed.done():
            self.subscribed.set_result(None)

    def fail(self, error: Exception) -> None:
        for end in self.ends:
            end.fail(error)
        if not self.subscribed.done():
            self.subscribed.set_exception(error)
            self.subscribed.exception()  # retrieved: its callers may have been cancelled


class SharedWatch:
    """The subscription and the reads that all watches of one client share.

    Args:
        redis: a client whose connections it uses.
        channel_prefix: name of a job's channel without its id.
        read_records: reads records, and reports ids whose record is corrupt.
    """

    def __init__(self, redis: Redis, channel_prefix: str, read_records: ReadRecords) -> None:
        self._redis = redis
        self._prefix = channel_prefix
        self._read_records = read_records
        self._channels: dict[str, _Channel] = {}
        self._pubsub: PubSub | None = None
        self._listener: asyncio.Task[None] | None = None
        # redis-py would open one connection for each of two first subscriptions.
        self._lock = asyncio.Lock()
        self._requests: dict[str, asyncio.Future[JobRecord | None]] = {}
        self._reader: asyncio.Task[None] | None = None

    # ---------------------------------------------------------------- ends

    @asynccontextmanager
    async def subscribe(self, job_id: str) -> AsyncIterator[JobEnd]:
        """Subscribes to the end of a job. Returns once the server has confirmed it.

        Raises:
            redis.exceptions.RedisError, OSError: Redis cannot be used.
        """
        channel = self._channels.get(job_id)
        is_new = channel is None
        if channel is None:
            channel = self._channels[job_id] = _Channel()
        end = JobEnd()
        channel.ends.add(end)
        try:
            if is_new:
                await self._open(job_id, channel)
            await asyncio.shield(channel.subscribed)
            yield end
        finally:
            channel.ends.discard(end)
            if not channel.ends:
                if self._channels.get(job_id) is channel:
                    del self._channels[job_id]
                await self._leave(job_id)

    async def _open(self, job_id: str, channel: _Channel) -> None:
        try:
            async with self._lock:
                pubsub = self._pubsub = self._pubsub or self._redis.pubsub()
                await pubsub.subscribe(self._prefix + job_id)
                if self._listener is None:
                    self._listener = asyncio.create_task(self._listen(pubsub), name="job-ends")
        except BaseException as error:
            # Others may await this subscription too: they subscribe again.
            if self._channels.get(job_id) is channel:
                del self._channels[job_id]
            channel.fail(error if isinstance(error, Exception) else ConnectionError("the call was cancelled"))
            raise

    async def _leave(self, job_id: str) -> None:
        async with self._lock:
            pubsub = self._pubsub
            if pubsub is None or job_id in self._channels:
                return
            if self._channels:
                # A lost connection is the listener's to report.
                with suppress(Exception):
                    await pubsub.unsubscribe(self._prefix + job_id)
                return
            self._pubsub = None
            listener, self._listener = self._listener, None
            await cancel_and_wait([] if listener is None else [listener])
            await pubsub.aclose()

    async def _listen(self, pubsub: PubSub) -> None:
        try:
            while True:
                message = await pubsub.get_message(timeout=CHECK_INTERVAL_S)
                if message is not None:
                    self._dispatch(message["type"], message["channel"], message["data"])
                elif getattr(pubsub.connection, "is_stale", False):
                    raise ConnectionError("the server is no longer the primary")
        except Exception as error:
            async with self._lock:
                await self._lose_subscription(pubsub, error)

    def _dispatch(self, kind: str, channel: bytes, data: bytes) -> None:
        followed = self._channels.get(channel.decode().removeprefix(self._prefix))
        if followed is None:
            return
        if kind == "subscribe":
            followed.confirm()
        elif kind == "message" and data in _STATES:  # anybody can publish other texts
            followed.publish(_STATES[data])

    async def _lose_subscription(self, pubsub: PubSub, error: Exception) -> None:
        """Reports ``error`` to all callers. The next one opens another subscription."""
        if self._pubsub is not pubsub:
            return
        self._pubsub = self._listener = None
        channels, self._channels = self._channels, {}
        for channel in channels.values():
            channel.fail(error)
        with suppress(Exception):
            await pubsub.aclose()

    # ---------------------------------------------------------------- records

    async def read(self, job_id: str) -> JobRecord | None:
        """Returns the record of a job without payload, or None without one. Concurrent reads share a round trip.

        Raises:
            redis.exceptions.RedisError, OSError: Redis cannot be used.
            ValueError, KeyError: the record is corrupt.
        """
        future = self._requests.get(job_id)
        if future is None:
            future = self._requests[job_id] = asyncio.get_running_loop().create_future()
            if self._reader is None:
                self._reader = asyncio.create_task(self._read_batches(), name="job-records")
        # Others may await the same read.
        return await asyncio.shield(future)

    async def _read_batches(self) -> None:
        batch: dict[str, asyncio.Future[JobRecord | None]] = {}
        try:
            while self._requests:
                batch = {job_id: self._requests.pop(job_id) for job_id in list(self._requests)[:READ_BATCH]}
                await self._read_batch(batch)
        finally:
            self._reader = None
            for future in (*batch.values(), *self._requests.values()):
                future.cancel()
            self._requests.clear()

    async def _read_batch(self, batch: dict[str, asyncio.Future[JobRecord | None]]) -> None:
        corrupt: dict[str, Exception] = {}
        try:
            records = await self._read_records(list(batch), corrupt.__setitem__)
        except Exception as error:
            for future in batch.values():
                _fail(future, error)
            return
        by_id = {record.job_id: record for record in records}
        for job_id, future in batch.items():
            if job_id in corrupt:
                _fail(future, corrupt[job_id])
            elif not future.done():
                future.set_result(by_id.get(job_id))


def _fail(future: asyncio.Future[JobRecord | None], error: Exception) -> None:
    if not future.done():
        future.set_exception(error)
        future.exception()  # retrieved: its caller may have been cancelled
