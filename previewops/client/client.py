"""Client for code without an event loop; thread-safe and fork-safe.

It wraps ``AsyncClient`` in a background loop that the first call starts. All threads share that loop.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import AsyncGenerator, Coroutine, Generator, Iterable
from concurrent.futures import CancelledError
from functools import partial
from types import TracebackType
from typing import Any, BinaryIO, TypeVar

from previewops.client.async_client import AsyncClient, SubmitError
from previewops.client.background_loop import BackgroundLoop
from previewops.client.errors import ClientClosed
from previewops.client.payload_source import PayloadSource
from previewops.client.results import JobResult, Progress
from previewops.queue.batches import Batch
from previewops.queue.due_time import DueTimeSource
from previewops.queue.job_links import JobLinks
from previewops.queue.queue import Receipt
from previewops.queue.records import JobRecord
from previewops.settings import Settings
from previewops.states import JobState, Priority
from previewops.stores.job_deletion import DeletedJob
from previewops.stores.port import Artifact

T = TypeVar("T")


class Client:
    """Submits jobs and follows them. Arguments, methods and errors are those of ``AsyncClient``.

    One client per process is enough: any thread may call its methods. In a forked child (of a server that preloads
    the application, for example) the first call starts a thread and connections of its own. The client closes
    itself when it is garbage-collected or the process ends.
    """

    def __init__(
        self, redis_url: str | None = None, *, settings: Settings | None = None, name: str | None = None
    ) -> None:
        self._make = partial(AsyncClient, redis_url, settings=settings, name=name)
        # Created here so that an invalid environment variable is reported by the constructor.
        self._client = self._make()
        self._thread: BackgroundLoop | None = None
        self._lock = threading.Lock()
        _CLIENTS.add(self)

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Closes connections and thread, and cancels waits. The next call starts new ones."""
        with self._lock:
            thread, self._thread = self._thread, None
        if thread is not None:
            thread.close()

    def upload(self, source: os.PathLike[str] | BinaryIO) -> str:
        """Stores a picture or a sound and returns its uri; see ``AsyncClient.upload``."""
        return self._call(self._client.upload(source))

    def submit(
        self,
        payload: PayloadSource,
        *,
        upload: bool = False,
        replace: bool = False,
        not_before: DueTimeSource | None = None,
        batch: str | None = None,
    ) -> Receipt:
        """Submits one job; see ``AsyncClient.submit``."""
        return self._call(
            self._client.submit(payload, upload=upload, replace=replace, not_before=not_before, batch=batch)
        )

    def submit_many(
        self,
        payloads: Iterable[PayloadSource],
        *,
        upload: bool = False,
        replace: bool = False,
        not_before: DueTimeSource | None = None,
        batch: str | None = None,
        close_batch: bool = True,
    ) -> list[Receipt | SubmitError]:
        """Submits jobs; one receipt or error per payload, in order; see ``AsyncClient.submit_many``."""
        return self._call(
            self._client.submit_many(
                payloads,
                upload=upload,
                replace=replace,
                not_before=not_before,
                batch=batch,
                close_batch=close_batch,
            )
        )

    def wait(self, job_id: str, *, timeout_s: float | None = None) -> JobResult:
        """Waits until a job has ended and returns its result; see ``AsyncClient.wait``."""
        return self._call(self._client.wait(job_id, timeout_s=timeout_s))

    def events(self, job_id: str, *, timeout_s: float | None = None) -> Generator[Progress, None, None]:
        """Yields a job's progress until it has ended; see ``AsyncClient.events``."""
        generator = self._client.events(job_id, timeout_s=timeout_s)
        while (progress := self._call(_next(generator))) is not None:
            thread = self._thread
            try:
                yield progress
            except GeneratorExit:
                if thread is not None:
                    thread.close_generator(generator)
                raise

    def batch(self, batch_id: str) -> Batch:
        """Returns a batch; see ``AsyncClient.batch``."""
        return self._call(self._client.batch(batch_id))

    def close_batch(self, batch_id: str) -> Batch:
        """Closes a batch; see ``AsyncClient.close_batch``."""
        return self._call(self._client.close_batch(batch_id))

    def cancel_batch(self, batch_id: str, *, who: str | None = None, reason: str = "") -> int:
        """Closes a batch and cancels its jobs; see ``AsyncClient.cancel_batch``."""
        return self._call(self._client.cancel_batch(batch_id, who=who, reason=reason))

    def wait_batch(self, batch_id: str, *, timeout_s: float | None = None) -> Batch:
        """Waits until a batch has ended; see ``AsyncClient.wait_batch``."""
        return self._call(self._client.wait_batch(batch_id, timeout_s=timeout_s))

    def status(self, job_id: str) -> JobRecord:
        """Returns a job's record; see ``AsyncClient.status``."""
        return self._call(self._client.status(job_id))

    def artifacts(self, job_id: str) -> tuple[Artifact, ...]:
        """Returns the files of a completed job's bundle; see ``AsyncClient.artifacts``."""
        return self._call(self._client.artifacts(job_id))

    def links(self, job_id: str) -> JobLinks:
        """Returns signed addresses of a job in the REST API; see ``AsyncClient.links``."""
        return self._call(self._client.links(job_id))

    def upload_link(self) -> str:
        """Returns a signed address for uploads; see ``AsyncClient.upload_link``."""
        return self._call(self._client.upload_link())

    def cancel(self, job_id: str, *, who: str | None = None, reason: str = "") -> JobState:
        """Cancels a job that has not ended; see ``AsyncClient.cancel``."""
        return self._call(self._client.cancel(job_id, who=who, reason=reason))

    def run_again(self, job_id: str, *, who: str | None = None, reason: str = "") -> JobState:
        """Renders a completed or cancelled job again; see ``AsyncClient.run_again``."""
        return self._call(self._client.run_again(job_id, who=who, reason=reason))

    def delete(
        self, job_id: str, *, project_id: str | None = None, who: str | None = None, reason: str = ""
    ) -> DeletedJob:
        """Deletes a job for good, with its bundle; see ``AsyncClient.delete``."""
        return self._call(self._client.delete(job_id, project_id=project_id, who=who, reason=reason))

    def reschedule(
        self,
        job_id: str,
        *,
        not_before: DueTimeSource | None = None,
        now: bool = False,
        priority: Priority | str | None = None,
        reason: str = "",
    ) -> JobState:
        """Changes the earliest start or the priority of a waiting or delayed job; see ``AsyncClient.reschedule``."""
        return self._call(
            self._client.reschedule(job_id, not_before=not_before, now=now, priority=priority, reason=reason)
        )

    def _call(self, work: Coroutine[Any, Any, T]) -> T:
        with self._lock:
            if self._thread is None:
                self._thread = BackgroundLoop("previewops-client", self._client.aclose)
                weakref.finalize(self, self._thread.close)
            # Under the lock: a loop that is being closed would never run it.
            future = self._thread.submit(work)
        try:
            return future.result()
        except CancelledError:
            raise ClientClosed from None
        except BaseException:  # of the calling thread too: Ctrl-C
            future.cancel()
            raise

    def _reset_after_fork(self) -> None:
        """Resets the client in a forked child: client and thread belong to the parent."""
        _INHERITED.append((self._client, self._thread))
        self._client, self._thread, self._lock = self._make(), None, threading.Lock()


async def _next(generator: AsyncGenerator[Progress, None]) -> Progress | None:
    return await anext(generator, None)


_CLIENTS: weakref.WeakSet[Client] = weakref.WeakSet()

_INHERITED: list[object] = []
"""Inherited clients and threads that a forked child must neither use nor close.

Closing the parent's loop in the child would remove the parent's sockets from the epoll set that both share.
"""


def _after_fork() -> None:
    for client in list(_CLIENTS):
        client._reset_after_fork()


os.register_at_fork(after_in_child=_after_fork)
