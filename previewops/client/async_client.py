"""Client for code in an event loop."""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Sequence
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import dataclass
from types import TracebackType
from typing import BinaryIO, TypeAlias

from redis.exceptions import RedisError

from previewops.client import arguments
from previewops.client.arguments import BadArgument
from previewops.client.errors import BatchTimeout, JobCancelled, JobFailed, WaitTimeout
from previewops.client.payload_source import PayloadSource, load_payload
from previewops.client.results import JobResult, Progress
from previewops.client.uploads import upload_asset
from previewops.clock import SystemClock
from previewops.contract import Payload
from previewops.disclosure import redact_url
from previewops.errors import (
    InvalidPayload,
    JobConflict,
    PreviewopsError,
    QueueFull,
    QuotaExceeded,
    RecordUnreadable,
    RedisUnavailable,
    UsageError,
    WrongState,
)
from previewops.queue.batch_errors import BatchClosed, BatchConflict
from previewops.queue.batches import Batch, Batches, check_batch_id
from previewops.queue.due_time import NOW, DueTime, DueTimeSource
from previewops.queue.job_links import JobLinks, job_links, open_signer, upload_link
from previewops.queue.queue import Queue, Receipt
from previewops.queue.records import JobRecord
from previewops.queue.submit_options import NO_OPTIONS, SubmitOptions
from previewops.redis_server.connection import (
    connect,
    redis_errors,
    resolve_redis_url,
)
from previewops.redis_server.failures import unavailable_reason
from previewops.settings import Settings
from previewops.signed_links import LinkSigner
from previewops.states import JobState, Priority
from previewops.stores.job_deletion import DeletedJob, delete_job
from previewops.stores.port import Artifact
from previewops.stores.selection import open_store
from previewops.tasks import cancel_and_wait

SubmitError: TypeAlias = (
    InvalidPayload
    | JobConflict
    | QueueFull
    | QuotaExceeded
    | RecordUnreadable
    | BatchClosed
    | BatchConflict
    | UsageError
)
"""Why one of several payloads was rejected. ``UsageError``: its file cannot be read, or it is not a payload.
``RecordUnreadable``: the stored record of the same job is damaged; `previewops doctor` repairs it.
"""

POLL_INTERVAL_S = 0.5
"""Polling interval of a wait, in seconds. The end of a job is announced by pub/sub too."""

MAX_REDIS_OUTAGE_S = 60.0
"""Time in seconds that a wait continues while Redis is unavailable."""
_RETRY_INTERVAL_S = 0.2

CHUNK_PAYLOADS = 500
"""Payloads of submit_many that are validated while Redis stores those before them."""
YIELD_PAYLOADS = 25
"""Payloads that are validated until the event loop runs again."""

COUNT_TIMEOUT_S = 1.0
"""Time in seconds that an invalid submit waits for Redis to count it."""


RESULT_READS = 4
"""Concurrent reads of results by waits, and so connections to Redis: many jobs may end at once."""


@dataclass(frozen=True, slots=True)
class _LoopConnection:
    """The address, the queue on connections of one event loop, and the bound of its result reads."""

    url: str
    queue: Queue
    result_reads: asyncio.Semaphore


class AsyncClient:
    """Submits jobs and follows them.

    A client may be created before an event loop exists, and used in several loops: each loop has its own
    connections, opened by its first call. Close the client in the loop that used it, or use it as a context manager.

    Every method raises ``BadArgument`` for an argument of a wrong type, and may raise ``RedisUnavailable``. After
    ``RedisUnavailable``, a submit may have succeeded. Submit the same payload again: it is the same job.

    Args:
        redis_url: address of Redis. None: REDIS_URL, else the private server under DATA_DIR.
        settings: None: from the environment.
        name: name under which cancellations by this client are recorded.

    Raises:
        UsageError: an environment variable is invalid.
        BadArgument: an argument has a wrong type.
    """

    def __init__(
        self, redis_url: str | None = None, *, settings: Settings | None = None, name: str | None = None
    ) -> None:
        for argument, value in (("redis_url", redis_url), ("name", name)):
            if value is not None:
                arguments.require_text(argument, value)
        self.settings = Settings.from_env(os.environ) if settings is None else settings
        self.name = name or f"client@{socket.gethostname()}"
        self._store = open_store(self.settings)
        self._option = redis_url
        self._connections: dict[asyncio.AbstractEventLoop, _LoopConnection] = {}

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Closes the connections of the running loop. The next call opens new ones."""
        connection = self._connections.pop(asyncio.get_running_loop(), None)
        if connection is not None:
            await connection.queue.redis.aclose()

    async def upload(self, source: os.PathLike[str] | BinaryIO) -> str:
        """Stores a picture or a sound where workers find it, and returns its uri for payloads.

        ``source`` is a path, or a file that is open in binary mode, which is read from where it is. The same content
        has the same uri, and is stored once.

        Raises:
            AssetKindUnsupported, AssetTooLarge: it is neither a picture nor a sound, or exceeds PREVIEW_ASSET_MAX_MB.
            UsageError: the file cannot be read.
            ImportFailed, StoreUnavailable, StoreRejected: it cannot be stored.
        """
        return await asyncio.to_thread(upload_asset, source, self.settings)

    async def submit(
        self,
        payload: PayloadSource,
        *,
        upload: bool = False,
        replace: bool = False,
        not_before: DueTimeSource | None = None,
        batch: str | None = None,
    ) -> Receipt:
        """Submits one job. ``new`` of the receipt is False if the same job already existed.

        With ``replace``, another payload of a known jobId takes the place of the old one, in any state of the job:
        ``replaced`` of the receipt is that state. A running attempt stops, and readers see the bundle of a completed
        job until the new one is published. The same payload changes nothing. The projectId stays.

        ``not_before`` is the earliest start: a ``datetime`` with a zone or such a text (RFC 3339), or a
        ``timedelta`` or a delay such as "+2h" from now; up to 366 days ahead. The job is delayed until then. It does
        not delay a job that exists already with the same payload: use ``reschedule``.

        The job joins ``batch``, which its first job creates, and which ends after ``close_batch``. A job that exists
        already with the same payload stays in its batch, or in none.

        With ``upload``, files that the payload names by path are stored first, and the job names the stored ones.
        Paths are relative to the payload's file, or to the current folder.

        Raises:
            InvalidPayload: the payload violates the contract; ``violations`` has a JSON pointer for each.
            JobConflict: a job with this jobId and another payload exists.
            QueueFull: PREVIEW_QUEUE_MAX jobs are waiting; try again later.
            RecordUnreadable: the stored record of the same job is damaged.
            BatchClosed, BatchConflict: the batch is closed, or has jobs of another project.
            UsageError: the file cannot be read.
            InvalidDueTime: ``not_before`` has no zone, or is too far ahead.
            InvalidBatchId: ``batch`` cannot be the id of a batch.
            ImportFailed, StoreUnavailable, StoreRejected: with ``upload``, a file cannot be stored.
        """
        (result,) = await self.submit_many(
            [payload], upload=upload, replace=replace, not_before=not_before, batch=batch, close_batch=False
        )
        if isinstance(result, PreviewopsError):
            raise result
        return result

    async def submit_many(
        self,
        payloads: Iterable[PayloadSource],
        *,
        upload: bool = False,
        replace: bool = False,
        not_before: DueTimeSource | None = None,
        batch: str | None = None,
        close_batch: bool = True,
    ) -> list[Receipt | SubmitError]:
        """Submits jobs in batches of hundreds. Returns one receipt or error per payload, in order.

        Options are as those of ``submit``. Some hundred payloads are validated while Redis stores those before them,
        which stay submitted if Redis fails.

        After the last job ``batch`` is closed: it ends when all its jobs have. It stays open if a payload was
        rejected, or with ``close_batch=False``: submit more jobs, then call ``close_batch``.

        Raises:
            BatchConflict: the batch is of another project, so it is not closed; the jobs were known and stay.
        """
        arguments.require_list("payloads", payloads)
        arguments.require_flag("upload", upload)
        arguments.require_flag("replace", replace)
        arguments.require_flag("close_batch", close_batch)
        options = NO_OPTIONS
        if replace or not_before is not None or batch is not None:
            if batch is not None:
                arguments.require_text("batch", batch)
                check_batch_id(batch, name="batch")
            options = SubmitOptions(self.name if replace else None, self._due(not_before), batch)
        sources = list(payloads)
        results: list[Receipt | SubmitError] = []
        project = ""
        chunks = [sources[start : start + CHUNK_PAYLOADS] for start in range(0, len(sources), CHUNK_PAYLOADS)]
        sending: asyncio.Task[list[Receipt | SubmitError]] | None = None
        try:
            for chunk in chunks:
                loaded = await self._load_chunk(chunk, upload=upload)
                project = next((item.project_id for item in loaded if isinstance(item, Payload)), project)
                if sending is not None:
                    results += await sending
                sending = asyncio.create_task(self._submit_chunk(loaded, options))
            if sending is not None:
                results += await sending
        finally:
            if sending is not None:
                await cancel_and_wait([sending])
        rejected = any(isinstance(item, PreviewopsError) for item in results)
        if batch is not None and close_batch and results and not rejected:
            async with self._queue() as queue:
                await self._batches(queue).close(batch, project_id=project)
        return results

    async def _load_chunk(
        self, sources: Sequence[PayloadSource], *, upload: bool
    ) -> list[Payload | InvalidPayload | UsageError]:
        loaded: list[Payload | InvalidPayload | UsageError] = []
        for number, source in enumerate(sources):
            if number % YIELD_PAYLOADS == 0:
                await asyncio.sleep(0)  # for the batch before, which waits for the event loop
            try:
                loaded.append(await load_payload(source, self.settings, upload=upload))
            except (InvalidPayload, UsageError) as error:
                loaded.append(error)
        return loaded

    async def _submit_chunk(
        self, loaded: Sequence[Payload | InvalidPayload | UsageError], options: SubmitOptions
    ) -> list[Receipt | SubmitError]:
        """Submits the payloads of a chunk. Returns one receipt or error per element, in order."""
        valid = [item for item in loaded if isinstance(item, Payload)]
        invalid = sum(isinstance(item, InvalidPayload) for item in loaded)
        if valid:
            async with self._queue() as queue:
                submitted = iter(
                    await queue.submit_many(valid, invalid=invalid, options=[options] * len(valid))
                )
        else:
            submitted = iter(())
            await self._count(invalid)
        return [next(submitted) if isinstance(item, Payload) else item for item in loaded]

    async def _count(self, invalid: int) -> None:
        """Counts invalid payloads in Redis; gives up after ``COUNT_TIMEOUT_S``, as their errors are already known."""
        if invalid:
            with suppress(RedisUnavailable):
                async with self._queue() as queue, asyncio.timeout(COUNT_TIMEOUT_S):
                    await queue.submit_many([], invalid=invalid)

    async def wait(self, job_id: str, *, timeout_s: float | None = None) -> JobResult:
        """Waits until a job has ended and returns its result. A Redis restart does not end the wait.

        Raises:
            JobFailed: the job is a dead letter.
            JobCancelled: the job was cancelled.
            WaitTimeout: ``timeout_s`` seconds have passed. The job continues.
            JobNotFound: the job has no record: unknown, discarded or expired.
        """
        async with aclosing(self._poll(job_id, timeout_s, full_result=True)) as records:
            async for record in records:
                last = record
        if last.state.pending:
            raise WaitTimeout(last, timeout_s or 0)
        if last.state is JobState.DEAD:
            raise JobFailed(last)
        if last.state is JobState.CANCELLED:
            raise JobCancelled(last)
        return JobResult.from_record(last)

    async def events(self, job_id: str, *, timeout_s: float | None = None) -> AsyncGenerator[Progress, None]:
        """Yields the job's progress now and after each change, until it has ended or ``timeout_s`` has passed.

        Render progress is updated with the worker's heartbeat, every PREVIEW_HEARTBEAT_MS.

        Raises:
            JobNotFound: the job has no record.
        """
        latest: Progress | None = None
        async with aclosing(self._poll(job_id, timeout_s)) as records:
            async for record in records:
                progress = Progress.from_record(record)
                if progress != latest:
                    latest = progress
                    yield progress

    async def batch(self, batch_id: str) -> Batch:
        """Returns a batch: its state, and its number of jobs by state.

        Raises:
            BatchNotFound: there is none.
        """
        arguments.require_text("batch_id", batch_id)
        async with self._queue() as queue:
            return await self._batches(queue).status(batch_id)

    async def close_batch(self, batch_id: str) -> Batch:
        """Closes a batch: no job joins it any more, and it ends when its last job has.

        Raises:
            BatchNotFound: there is none.
        """
        arguments.require_text("batch_id", batch_id)
        async with self._queue() as queue:
            return await self._batches(queue).close(batch_id)

    async def cancel_batch(self, batch_id: str, *, who: str | None = None, reason: str = "") -> int:
        """Closes a batch and cancels its jobs that have not ended; returns their number. ``who`` is as in ``cancel``.

        Raises:
            BatchNotFound: there is none.
        """
        arguments.require_text("batch_id", batch_id)
        arguments.require_text("reason", reason)
        if who is not None:
            arguments.require_text("who", who)
        async with self._queue() as queue:
            return await self._batches(queue).cancel(batch_id, who=who or self.name, reason=reason)

    async def wait_batch(self, batch_id: str, *, timeout_s: float | None = None) -> Batch:
        """Waits until a batch is closed and all its jobs have ended, in whatever state, and returns it.

        A Redis restart does not end the wait.

        Raises:
            BatchTimeout: ``timeout_s`` seconds have passed. Its jobs continue.
            BatchNotFound: there is none.
        """
        arguments.require_seconds("timeout_s", timeout_s)
        now = asyncio.get_running_loop().time
        began = answered = now()
        while True:
            try:
                batch = await self.batch(batch_id)
            except RedisUnavailable:
                if now() - answered > MAX_REDIS_OUTAGE_S or _is_over(began, timeout_s, now()):
                    raise
            else:
                answered = now()
                if batch.ended_ms is not None:
                    return batch
                if timeout_s is not None and _is_over(began, timeout_s, now()):
                    raise BatchTimeout(batch, timeout_s)
            left_s = POLL_INTERVAL_S if timeout_s is None else began + timeout_s - now()
            await asyncio.sleep(max(0.0, min(POLL_INTERVAL_S, left_s)))

    def _batches(self, queue: Queue) -> Batches:
        return Batches(queue.redis, self.settings)

    async def status(self, job_id: str) -> JobRecord:
        """Returns a job's record with its payload, result and failed attempts.

        Raises:
            JobNotFound: the job has no record.
        """
        arguments.require_text("job_id", job_id)
        async with self._queue() as queue:
            return await queue.status(job_id)

    async def artifacts(self, job_id: str) -> tuple[Artifact, ...]:
        """Returns the files of a completed job's bundle, in the store of this process: PREVIEW_STORE, or DATA_DIR.

        While a replaced payload has not been completed, these are the files of the one before.

        Raises:
            JobNotFound: the job has no record.
            WrongState: the job is not completed, or was a dry run.
            BundleNotFound: the bundle is not in this store.
            BundleUnreadable: the store cannot be read now.
            StoreRejected: the module for object stores is not installed.
        """
        record = await self.status(job_id)
        if not record.has_bundle:
            state = "a dry run" if record.state is JobState.COMPLETED else record.state.value
            raise WrongState(job_id, state, "list the artifacts of", "completed and not a dry run")
        return await asyncio.to_thread(self._store.manifest, record)

    async def links(self, job_id: str) -> JobLinks:
        """Returns addresses of a job's status, events and files in the REST API, for a browser without a token.

        They are valid for PREVIEW_LINK_TTL_S and begin with PREVIEW_API_URL. Anybody who has one can use it.

        Raises:
            JobNotFound: the job has no record.
            UsageError: PREVIEW_LINK_KEY is not set, or its file cannot be read.
        """
        signer = self._signer()
        record = await self.status(job_id)
        return job_links(signer, record, now_s=time.time(), lifetime_s=self.settings.link_ttl_s)

    async def upload_link(self) -> str:
        """Returns an address of the REST API to which a browser can upload files for ten minutes without a token.

        Raises:
            UsageError: PREVIEW_LINK_KEY is not set, or its file cannot be read.
        """
        return upload_link(self._signer(), now_s=time.time())[0]

    def _signer(self) -> LinkSigner:
        signer = open_signer(self.settings)
        if signer is None:
            raise UsageError(
                "PREVIEW_LINK_KEY: found no key, allowed the key of the REST API",
                hint="set PREVIEW_LINK_KEY or PREVIEW_LINK_KEY_FILE here and for `previewops api`",
            )
        return signer

    async def cancel(self, job_id: str, *, who: str | None = None, reason: str = "") -> JobState:
        """Cancels a job that has not ended; returns its previous state. ``who`` is recorded, by default ``name``.

        Raises:
            JobNotFound: the job has no record.
            WrongState: the job has already ended.
        """
        arguments.require_text("job_id", job_id)
        arguments.require_text("reason", reason)
        if who is not None:
            arguments.require_text("who", who)
        async with self._queue() as queue:
            return await queue.cancel(job_id, who=who or self.name, reason=reason)

    async def delete(
        self, job_id: str, *, project_id: str | None = None, who: str | None = None, reason: str = ""
    ) -> DeletedJob:
        """Deletes a job for good, in any state: record, dead letter, result, events, and its bundle in this store.

        An attempt that ends afterwards publishes nothing. ``project_id`` is needed if the record has expired. Who
        deleted what, and why, stays recorded. A deletion that raised can be repeated.

        Raises:
            JobNotFound: there is neither a record nor, with ``project_id``, a bundle.
            BundleUnreadable: the store cannot be used now; the job is cancelled.
            WrongState: the job was requeued again and again meanwhile.
        """
        arguments.require_text("job_id", job_id)
        arguments.require_text("reason", reason)
        for argument, value in (("project_id", project_id), ("who", who)):
            if value is not None:
                arguments.require_text(argument, value)
        async with self._queue() as queue:
            return await delete_job(
                queue,
                self._store,
                job_id,
                who=who or self.name,
                reason=reason,
                project_id=project_id,
            )

    async def run_again(self, job_id: str, *, who: str | None = None, reason: str = "") -> JobState:
        """Renders a completed or cancelled job again with its stored payload; returns its previous state.

        It is rendered even if a worker has an equal result in its cache. Readers see the bundle of a completed job
        until the new one is published. Attempts count from 0; PREVIEW_QUEUE_MAX does not apply.

        Raises:
            JobNotFound: the job has no record.
            PayloadExpired: its payload is not stored any more.
            WrongState: the job has not ended, or is a dead letter.
        """
        arguments.require_text("job_id", job_id)
        arguments.require_text("reason", reason)
        if who is not None:
            arguments.require_text("who", who)
        async with self._queue() as queue:
            return await queue.run_again(job_id, who=who or self.name, reason=reason)

    async def reschedule(
        self,
        job_id: str,
        *,
        not_before: DueTimeSource | None = None,
        now: bool = False,
        priority: Priority | str | None = None,
        reason: str = "",
    ) -> JobState:
        """Changes the earliest start or the priority of a waiting or delayed job; returns its previous state.

        ``not_before`` is as in ``submit``; ``now`` ends a delay, that of a retry too.

        Raises:
            JobNotFound: the job has no record.
            WrongState: the job runs or has ended.
            InvalidDueTime: ``not_before`` has no zone, or is too far ahead.
        """
        arguments.require_text("job_id", job_id)
        arguments.require_text("reason", reason)
        if priority is not None and priority not in tuple(Priority):
            raise BadArgument("priority", repr(priority), ", ".join(Priority))
        arguments.require_flag("now", now)
        if now and not_before is not None:
            raise BadArgument("now", "True beside not_before", "one of them")
        if not now and not_before is None and priority is None:
            raise BadArgument("priority", "no change", "priority, now or not_before")
        due = NOW if now else self._due(not_before)
        async with self._queue() as queue:
            return await queue.reschedule(
                job_id,
                priority=None if priority is None else Priority(priority),
                due=due,
                who=self.name,
                reason=reason,
            )

    @staticmethod
    def _due(source: DueTimeSource | None) -> DueTime | None:
        if source is None:
            return None
        return DueTime.from_source(source, now_ms=SystemClock().now_ms(), name="not_before")

    @asynccontextmanager
    async def _queue(self) -> AsyncIterator[Queue]:
        """Yields the queue on connections of the running loop. Redis failures are raised as ``RedisUnavailable``."""
        connection = self._connection()
        async with redis_errors(connection.url):
            yield connection.queue

    def _connection(self) -> _LoopConnection:
        loop = asyncio.get_running_loop()
        connection = self._connections.get(loop)
        if connection is None:
            # Connections of closed loops cannot be used.
            self._connections = {
                loop: connection for loop, connection in self._connections.items() if not loop.is_closed()
            }
            url = resolve_redis_url(self.settings, option=self._option)
            queue = Queue(connect(url, role="client"), self.settings)
            connection = self._connections[loop] = _LoopConnection(
                url, queue, asyncio.Semaphore(RESULT_READS)
            )
        return connection

    async def _poll(
        self, job_id: str, timeout_s: float | None, *, full_result: bool = False
    ) -> AsyncGenerator[JobRecord, None]:
        """Yields a job's record per poll until it has ended or the time is over. Tolerates Redis outages.

        Polled records lack payload and result. With ``full_result`` the last record of an ended job is complete; a
        job that was requeued before that read is polled further.
        """
        arguments.require_text("job_id", job_id)
        arguments.require_seconds("timeout_s", timeout_s)
        connection = self._connection()
        queue = connection.queue
        now = asyncio.get_running_loop().time
        began = now()
        outage_began: float | None = None
        while True:
            left_s = None if timeout_s is None else max(0.0, began + timeout_s - now())
            try:
                records = queue.watch(job_id, poll_interval_s=POLL_INTERVAL_S, timeout_s=left_s)
                async with aclosing(records):
                    async for record in records:
                        outage_began = None
                        yield record
                if not full_result or record.state.pending:
                    return
                async with connection.result_reads:
                    record = await queue.status(job_id)
                if not record.state.pending:
                    yield record
                    return
            except (RedisError, OSError) as error:
                reason = unavailable_reason(error)
                if reason is None:
                    raise
                outage_began = now() if outage_began is None else outage_began
                if left_s == 0 or now() - outage_began > MAX_REDIS_OUTAGE_S:
                    raise RedisUnavailable(redact_url(connection.url), reason) from error
            await asyncio.sleep(_RETRY_INTERVAL_S)


def _is_over(began: float, timeout_s: float | None, now: float) -> bool:
    return timeout_s is not None and now >= began + timeout_s
