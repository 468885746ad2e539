"""The client for code without an event loop: any thread may call it, and a fork does it no harm.

It is ``AsyncClient`` in a loop of its own thread, started by the first call. So there is one way to speak to the
queue, and threads that wait share it.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator, Iterable
from concurrent.futures import CancelledError
from types import TracebackType
from typing import Any, TypeVar

from previewops.bundles import Artifact
from previewops.client.async_client import AsyncClient, SubmitError
from previewops.client.background_loop import BackgroundLoop
from previewops.client.errors import ClientClosed
from previewops.client.payload_source import PayloadSource
from previewops.client.results import JobResult, Progress
from previewops.queue.queue import Receipt
from previewops.queue.records import JobRecord
from previewops.settings import Settings
from previewops.states import JobState

T = TypeVar("T")


class Client:
    """Submits jobs and follows them; arguments, methods and errors are those of ``AsyncClient``.

    One for a whole process is enough: its methods may be called from any thread at once. A process that was
    forked off (by a server that loads the application first, say) gets a thread and connections of its own with
    its first call. It closes itself when it is no longer used or the process ends.
    """

    def __init__(
        self, redis_url: str | None = None, *, settings: Settings | None = None, name: str | None = None
    ) -> None:
        self._make = _maker(redis_url, settings, name)
        # Made at once, so that a variable that is off is told here.
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
        """Closes connections and thread; waits under way are cancelled. The next call starts anew."""
        with self._lock:
            thread, self._thread = self._thread, None
        if thread is not None:
            thread.close()

    def submit(self, payload: PayloadSource) -> Receipt:
        """Submits one job; see ``AsyncClient.submit``."""
        return self._call(self._client.submit(payload))

    def submit_many(self, payloads: Iterable[PayloadSource]) -> list[Receipt | SubmitError]:
        """Submits jobs; one answer each, in order; see ``AsyncClient.submit_many``."""
        return self._call(self._client.submit_many(payloads))

    def wait(self, job_id: str, *, timeout_s: float | None = None) -> JobResult:
        """Waits until a job has ended, and returns what came of it; see ``AsyncClient.wait``."""
        return self._call(self._client.wait(job_id, timeout_s=timeout_s))

    def events(self, job_id: str, *, timeout_s: float | None = None) -> Generator[Progress, None, None]:
        """How a job gets on, until it has ended; see ``AsyncClient.events``."""
        steps = self._client.events(job_id, timeout_s=timeout_s)
        while (step := self._call(_next(steps))) is not None:
            thread = self._thread
            try:
                yield step
            except GeneratorExit:
                if thread is not None:
                    thread.close_generator(steps)
                raise

    def status(self, job_id: str) -> JobRecord:
        """Everything known of a job; see ``AsyncClient.status``."""
        return self._call(self._client.status(job_id))

    def artifacts(self, job_id: str) -> tuple[Artifact, ...]:
        """The files of a completed job's bundle; see ``AsyncClient.artifacts``."""
        return self._call(self._client.artifacts(job_id))

    def cancel(self, job_id: str, *, who: str | None = None, why: str = "") -> JobState:
        """Cancels a job that has not ended; see ``AsyncClient.cancel``."""
        return self._call(self._client.cancel(job_id, who=who, why=why))

    def _call(self, work: Coroutine[Any, Any, T]) -> T:
        with self._lock:
            if self._thread is None:
                self._thread = BackgroundLoop("previewops-client", self._client.aclose)
                weakref.finalize(self, self._thread.close)
            # Under the lock: a loop that is being closed would never begin with it.
            future = self._thread.submit(work)
        try:
            return future.result()
        except CancelledError:
            raise ClientClosed from None
        except BaseException:  # of the calling thread too: Ctrl-C
            future.cancel()
            raise

    def _start_over(self) -> None:
        """In a process that was just forked off: what is here belongs to threads of the parent."""
        _PARENTS.append((self._client, self._thread))
        self._client, self._thread, self._lock = self._make(), None, threading.Lock()


def _maker(redis_url: str | None, settings: Settings | None, name: str | None) -> Callable[[], AsyncClient]:
    return lambda: AsyncClient(redis_url, settings=settings, name=name)


async def _next(steps: AsyncGenerator[Progress, None]) -> Progress | None:
    return await anext(steps, None)


_CLIENTS: weakref.WeakSet[Client] = weakref.WeakSet()

_PARENTS: list[object] = []
"""What forked processes inherit and must neither use nor close.

Closing the parent's loop in the child would take the parent's sockets out of the epoll set that both share.
"""


def _after_fork() -> None:
    for client in list(_CLIENTS):
        client._start_over()


os.register_at_fork(after_in_child=_after_fork)
