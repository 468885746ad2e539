"""Services of all routes: queue, dead letters, snapshots, and bounded access to Redis."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

from redis.asyncio import Redis
from starlette.requests import Request

from previewops.api.body_reader import MAX_TOTAL_BODY_BYTES, BodyReader
from previewops.api.caller import Caller, caller_of
from previewops.api.errors import JobIdTaken, Overloaded
from previewops.api.link_access import LINK, VerifiedLink
from previewops.api.request_params import acting_operator
from previewops.api.submit_batcher import SubmitBatcher
from previewops.contract import AssetPolicy, Payload
from previewops.disclosure import for_rest
from previewops.errors import JobConflict, JobNotFound, PreviewopsError, RecordUnreadable
from previewops.queue.batches import Batches
from previewops.queue.dead_letters import DeadLetters
from previewops.queue.job_links import job_links, open_signer
from previewops.queue.queue import Queue, Receipt
from previewops.queue.records import JobRecord
from previewops.queue.submit_options import NO_OPTIONS, SubmitOptions
from previewops.redis_server.connection import redis_errors
from previewops.settings import Settings
from previewops.snapshot.breakdown_reader import BreakdownReader
from previewops.snapshot.event_log import EventLog
from previewops.snapshot.reader import SnapshotReader
from previewops.stores.port import BundleStore
from previewops.stores.selection import open_store
from previewops.theme_names import themes_on_this_host

T = TypeVar("T")

MIB = 1024 * 1024

REDIS_PERMITS = 32
"""Concurrent requests that use Redis, and so connections to it; other requests wait for a permit."""

LONG_REDIS_PERMITS = 4
"""Concurrent requests that scan the whole queue; they hold a Redis permit too."""

CONNECT_TIMEOUT_S = 1.0
SOCKET_TIMEOUT_S = 2.0
PERMIT_TIMEOUT_S = 2.0
"""Time in seconds that a request waits for a permit before it is rejected with Retry-After."""
REPLY_TIMEOUT_S = 3.0
"""Time in seconds for all Redis calls of one request. The client's own timeouts are per call, and it opens
connections one after the other."""


class ApiBackend:
    """Services of one API process.

    Args:
        working_dir: asset root if PREVIEW_ASSET_ROOTS is not set.
        default_operator: name recorded for requests without X-Preview-User.
        store: where bundles are read from; None opens the one of ``settings``.
        permit_timeout_s: time that a request waits for a Redis permit.
    """

    def __init__(
        self,
        redis: Redis,
        url: str,
        settings: Settings,
        *,
        working_dir: Path,
        default_operator: str,
        store: BundleStore | None = None,
        permit_timeout_s: float = PERMIT_TIMEOUT_S,
    ) -> None:
        self.redis = redis
        self.url = url
        self.settings = settings
        self.store = store or open_store(settings)
        self.signer = open_signer(settings)
        self.queue = Queue(redis, settings)
        self.submit_batcher = SubmitBatcher(self.queue, url)
        self.dead_letters = DeadLetters(redis, settings)
        self.batches = Batches(redis, settings)
        self.snapshots = SnapshotReader(redis, settings)
        self.breakdowns = BreakdownReader(redis, settings)
        self.events = EventLog(redis, settings)
        self.asset_policy = AssetPolicy(
            settings.effective_asset_roots(working_dir),
            settings.asset_hosts,
            settings.data_dir,
            shows_roots=False,
            buckets=settings.effective_asset_buckets,
            webhook_hosts=settings.webhook_hosts,
            themes=themes_on_this_host(settings.themes),
        )
        self.bodies = BodyReader(max(MAX_TOTAL_BODY_BYTES, settings.api_max_body_mb * MIB))
        self._default_operator = default_operator
        # One thread: validation holds the interpreter's lock, so more would only compete with the event loop.
        self._validation_thread = ThreadPoolExecutor(1, thread_name_prefix="validation")
        self._permits = asyncio.Semaphore(REDIS_PERMITS)
        self._long_permits = asyncio.Semaphore(LONG_REDIS_PERMITS)
        self._permit_timeout_s = permit_timeout_s

    async def validate_in_thread(self, validate: Callable[[], T]) -> T:
        """Runs a validation in the one thread for them, so that the event loop stays responsive."""
        return await asyncio.get_running_loop().run_in_executor(self._validation_thread, validate)

    def close(self) -> None:
        """Ends the thread of validations."""
        self._validation_thread.shutdown(wait=False, cancel_futures=True)

    def describe_job(self, request: Request, record: JobRecord) -> dict[str, Any]:
        """Returns a job as JSON for clients; with ``links`` if PREVIEW_LINK_KEY is set.

        Whoever has a link gets links that end with it.
        """
        job: dict[str, Any] = for_rest(record.as_json())
        if self.signer is not None:
            link: VerifiedLink | None = request.scope.get(LINK)
            links = job_links(
                self.signer,
                record,
                now_s=time.time(),
                lifetime_s=self.settings.link_ttl_s,
                until_s=None if link is None else link.expires_s,
            )
            job["links"] = links.as_json()
        return job

    async def job_record(self, request: Request) -> JobRecord:
        """Returns the record of the job that the path names.

        Raises:
            JobNotFound: the job does not exist, or the caller may not see it.
        """
        return await self.read_job(caller_of(request), request.path_params["jobId"])

    async def read_job(self, caller: Caller, job_id: str) -> JobRecord:
        """Returns the record of a job.

        Raises:
            JobNotFound: the job does not exist, or the caller may not see it.
        """
        try:
            async with self.redis_permit():
                record = await self.queue.status(job_id)
        except RecordUnreadable:
            if caller.projects is None:
                raise
        else:
            if caller.may_see(record):
                return record
        raise JobNotFound(job_id, self.queue.keys.queue)

    async def submit(self, caller: Caller, payload: Payload, options: SubmitOptions = NO_OPTIONS) -> Receipt:
        """Submits a job for a caller.

        Raises:
            ProjectNotAllowed: the caller may not submit jobs of this project.
            QuotaExceeded: the caller's quota of pending jobs is used up.
            PreviewopsError: as ``SubmitBatcher.submit``.
        """
        caller.check_project(payload.project_id)
        try:
            return await self.submit_batcher.submit(payload, caller.quota, options)
        except JobConflict as error:
            raise await self.conceal_conflict(caller, error) from None

    async def close_batch(self, caller: Caller, batch_id: str, project_id: str) -> None:
        """Closes the batch of a submit. Without one, because the jobs existed before it, an empty one is created.

        Raises:
            BatchNotFound: it is in another project.
        """
        async with self.redis_permit():
            await self.batches.close(batch_id, project_id=project_id, projects=caller.projects)

    async def conceal_conflict(self, caller: Caller, error: PreviewopsError) -> PreviewopsError:
        """Returns ``error``, without the state of a job that the caller may not see."""
        if not isinstance(error, JobConflict) or caller.projects is None:
            return error
        try:
            await self.read_job(caller, error.job_id)
        except JobNotFound:
            return JobIdTaken(error.job_id)
        return error

    def operator(self, request: Request) -> str:
        """Returns the name that is recorded with a command: that of the token, X-Preview-User, or the default."""
        return caller_of(request).record_name(acting_operator(request.headers)) or self._default_operator

    @asynccontextmanager
    async def redis_permit(self, *, timeout_s: float = REPLY_TIMEOUT_S) -> AsyncIterator[None]:
        """Holds a Redis permit, for at most ``timeout_s`` seconds.

        Raises:
            Overloaded: all permits stayed in use.
            RedisUnavailable: Redis cannot be used.
        """
        async with self._acquire(self._permits), redis_errors(self.url), asyncio.timeout(timeout_s):
            yield

    @asynccontextmanager
    async def long_redis_permit(self, timeout_s: float) -> AsyncIterator[None]:
        """Holds a permit for a scan of the whole queue; they are few, so that scans leave permits to other requests.

        Raises:
            Overloaded: all permits stayed in use.
            RedisUnavailable: Redis cannot be used.
        """
        async with self._acquire(self._long_permits), self.redis_permit(timeout_s=timeout_s):
            yield

    @asynccontextmanager
    async def _acquire(self, permits: asyncio.Semaphore) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(self._permit_timeout_s):
                await permits.acquire()
        except TimeoutError:
            raise Overloaded("too many requests are waiting for Redis", retry_after_s=2) from None
        try:
            yield
        finally:
            permits.release()
