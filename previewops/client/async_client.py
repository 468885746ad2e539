"""The client for code that runs in an event loop."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncGenerator, AsyncIterator, Iterable
from contextlib import aclosing, asynccontextmanager, suppress
from types import TracebackType
from typing import TypeAlias

from redis.exceptions import RedisError

from previewops.bundles import Artifact, list_artifacts
from previewops.client import arguments
from previewops.client.errors import JobCancelled, JobFailed, WaitTimeout
from previewops.client.payload_source import PayloadSource, load_payload
from previewops.client.results import JobResult, Progress
from previewops.errors import (
    InvalidPayload,
    JobConflict,
    PreviewopsError,
    QueueFull,
    RedisUnavailable,
    UsageError,
    WrongState,
)
from previewops.queue.queue import Queue, Receipt
from previewops.queue.records import JobRecord
from previewops.redis_server.connection import (
    connect,
    redact_url,
    redis_errors,
    resolve_redis_url,
    unavailable_reason,
)
from previewops.settings import Settings
from previewops.states import JobState

SubmitError: TypeAlias = InvalidPayload | JobConflict | QueueFull | UsageError
"""Why one payload of several was not taken. ``UsageError``: its file cannot be read, or it is no payload at all."""

POLL_INTERVAL_S = 0.5
"""How often a job that is waited for is looked at, beside being told of its end."""

MAX_REDIS_OUTAGE_S = 60.0
"""How long a wait rides out Redis being away, in seconds."""
_AGAIN_AFTER_S = 0.2

COUNT_TIMEOUT_S = 1.0
"""How long a submit that is invalid waits for Redis to count it, in seconds."""


class AsyncClient:
    """Submits jobs and follows them.

    It may be made anywhere, also before there is an event loop, and used from several: each has its own
    connections, opened by its first call. Close it in the loop that used it, or use it as a context manager.

    Every method raises ``BadArgument`` for an argument of a wrong type, and may raise ``RedisUnavailable``. A submit
    that did so may have got through or not: submitting the same payload again is safe, as it is the same job.

    Args:
        redis_url: where Redis is; None: REDIS_URL, or else as ``previewops`` finds it under DATA_DIR.
        settings: None: those of the environment.
        name: under which acts of this client are recorded.

    Raises:
        UsageError: a variable of the environment is off.
        BadArgument: an argument is of a wrong type.
    """

    def __init__(
        self, redis_url: str | None = None, *, settings: Settings | None = None, name: str | None = None
    ) -> None:
        for argument, value in (("redis_url", redis_url), ("name", name)):
            if value is not None:
                arguments.require_text(argument, value)
        self.settings = Settings.from_env(os.environ) if settings is None else settings
        self.name = name or f"client@{socket.gethostname()}"
        self._option = redis_url
        self._queues: dict[asyncio.AbstractEventLoop, tuple[str, Queue]] = {}

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Closes the connections of the running loop. The next call opens new ones."""
        known = self._queues.pop(asyncio.get_running_loop(), None)
        if known is not None:
            await known[1].redis.aclose()

    async def submit(self, payload: PayloadSource) -> Receipt:
        """Submits one job; the receipt's ``new`` is False when the very same job was there already.

        Raises:
            InvalidPayload: it breaks the contract; ``violations`` has each place as a JSON pointer.
            JobConflict: the jobId is taken by a job with another payload.
            QueueFull: PREVIEW_QUEUE_MAX jobs wait already; try again later.
            UsageError: the file cannot be read.
        """
        (answer,) = await self.submit_many([payload])
        if isinstance(answer, PreviewopsError):
            raise answer
        return answer

    async def submit_many(self, payloads: Iterable[PayloadSource]) -> list[Receipt | SubmitError]:
        """Submits jobs, hundreds a round trip; one answer each, in order. A refusal is returned, not raised."""
        arguments.require_list("payloads", payloads)
        answers: list[Receipt | SubmitError | None] = []
        valid = []
        for source in payloads:
            try:
                valid.append(await load_payload(source, self.settings))
                answers.append(None)
            except (InvalidPayload, UsageError) as refusal:
                answers.append(refusal)
        invalid = sum(isinstance(answer, InvalidPayload) for answer in answers)
        if valid:
            async with self._queue() as queue:
                told = iter(await queue.submit_many(valid, invalid=invalid))
        else:
            told = iter(())
            await self._count(invalid)
        return [next(told) if answer is None else answer for answer in answers]

    async def _count(self, invalid: int) -> None:
        """Has refusals totalled. The answer to them is known: it waits for Redis only so long."""
        if invalid:
            with suppress(RedisUnavailable):
                async with self._queue() as queue, asyncio.timeout(COUNT_TIMEOUT_S):
                    await queue.submit_many([], invalid=invalid)

    async def wait(self, job_id: str, *, timeout_s: float | None = None) -> JobResult:
        """Waits until a job has ended, through a restart of Redis if need be, and returns what came of it.

        Raises:
            JobFailed: it is a dead letter.
            JobCancelled: it was cancelled.
            WaitTimeout: ``timeout_s`` seconds passed. The job goes on.
            JobNotFound: there is no record of it, or it was discarded, or is not kept.
        """
        async with aclosing(self._looks(job_id, timeout_s, whole_end=True)) as looks:
            async for record in looks:
                last = record
        if last.state.pending:
            raise WaitTimeout(last, timeout_s or 0)
        return _outcome(last)

    async def events(self, job_id: str, *, timeout_s: float | None = None) -> AsyncGenerator[Progress, None]:
        """How a job gets on: what it is at now, then each change, until it has ended or ``timeout_s`` has passed.

        How far a render is becomes known with its worker's heartbeat, every PREVIEW_HEARTBEAT_MS.

        Raises:
            JobNotFound: there is no record of it.
        """
        told: Progress | None = None
        async with aclosing(self._looks(job_id, timeout_s)) as looks:
            async for record in looks:
                found = Progress.from_record(record)
                if found != told:
                    told = found
                    yield found

    async def status(self, job_id: str) -> JobRecord:
        """Everything known of a job, its payload, result and failed attempts included.

        Raises:
            JobNotFound: there is no record of it.
        """
        arguments.require_text("job_id", job_id)
        async with self._queue() as queue:
            return await queue.status(job_id)

    async def artifacts(self, job_id: str) -> tuple[Artifact, ...]:
        """The files of a completed job's bundle, as they are under DATA_DIR of this process.

        Raises:
            JobNotFound: there is no record of it.
            WrongState: it is not completed, or was a dry run.
            BundleElsewhere: the bundle is not under DATA_DIR here.
        """
        record = await self.status(job_id)
        if record.state is not JobState.COMPLETED or (record.result or {}).get("dryRun"):
            state = "a dry run" if record.state is JobState.COMPLETED else record.state.value
            raise WrongState(job_id, state, "list the artifacts of", "completed, and no dry runs")
        return await asyncio.to_thread(list_artifacts, self.settings.data_dir, record)

    async def cancel(self, job_id: str, *, who: str | None = None, why: str = "") -> JobState:
        """Cancels a job that has not ended; returns the state it was in. ``who`` goes on record; None: ``name``.

        Raises:
            JobNotFound: there is no record of it.
            WrongState: it has ended already.
        """
        arguments.require_text("job_id", job_id)
        arguments.require_text("why", why)
        if who is not None:
            arguments.require_text("who", who)
        async with self._queue() as queue:
            return await queue.cancel(job_id, who=who or self.name, why=why)

    @asynccontextmanager
    async def _queue(self) -> AsyncIterator[Queue]:
        """The queue on connections of the running loop; failures of Redis come out as ``RedisUnavailable``."""
        url, queue = self._line()
        async with redis_errors(url):
            yield queue

    def _line(self) -> tuple[str, Queue]:
        loop = asyncio.get_running_loop()
        known = self._queues.get(loop)
        if known is None:
            # Connections of a loop that is closed are of no use to anybody.
            self._queues = {each: line for each, line in self._queues.items() if not each.is_closed()}
            url = resolve_redis_url(self.settings, option=self._option)
            known = self._queues[loop] = url, Queue(connect(url, role="client"), self.settings)
        return known

    async def _looks(
        self, job_id: str, timeout_s: float | None, *, whole_end: bool = False
    ) -> AsyncGenerator[JobRecord, None]:
        """What is seen of a job until it has ended or the time is over, while Redis comes and goes.

        Looks are without payload and result. With ``whole_end`` the record of a job that has ended is read whole,
        and comes last; a job that was given a new life in between has not ended, and is looked at further.
        """
        arguments.require_text("job_id", job_id)
        arguments.require_seconds("timeout_s", timeout_s)
        url, queue = self._line()
        now = asyncio.get_running_loop().time
        began = now()
        away_since: float | None = None
        while True:
            left_s = None if timeout_s is None else max(0.0, began + timeout_s - now())
            try:
                looks = queue.watch(job_id, poll_interval_s=POLL_INTERVAL_S, timeout_s=left_s)
                async with aclosing(looks):
                    async for record in looks:
                        away_since = None
                        yield record
                if not whole_end or record.state.pending:
                    return
                record = await queue.status(job_id)
                if not record.state.pending:
                    yield record
                    return
            except (RedisError, OSError) as error:
                reason = unavailable_reason(error)
                if reason is None:
                    raise
                away_since = now() if away_since is None else away_since
                if left_s == 0 or now() - away_since > MAX_REDIS_OUTAGE_S:
                    raise RedisUnavailable(redact_url(url), reason) from error
            await asyncio.sleep(_AGAIN_AFTER_S)


def _outcome(record: JobRecord) -> JobResult:
    if record.state is JobState.DEAD:
        raise JobFailed(record)
    if record.state is JobState.CANCELLED:
        raise JobCancelled(record)
    return JobResult.from_record(record)
