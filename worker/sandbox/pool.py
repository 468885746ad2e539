"""The render sandbox: child processes that can be killed, driven from asyncio.

A pool has as many slots as renders may run at a time, and a long-lived child in each, forked by a fork
server that has the imaging library loaded already; the worker itself never imports it. A child takes one
job after another over a socket and is replaced after a number of them, after it ran out of memory, and when
it dies. Everything is an event of the worker's own loop: no thread, no timer but the deadline of a running
job, no cost at rest.

Why not pebble, which has deadlines and recycling too: it has no way for a running task to report progress;
it keeps helper threads for each pool that wake up to poll, so that an idle worker is never idle; and what a
child returns is unpickled in the parent, which gives whoever takes over a child through a hostile image the
worker as well. Here what a child says is bounded, parsed as JSON and checked; a child that says anything
else is killed.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Coroutine, Hashable, Sequence
from typing import Any

from previewops.errors import JobError, RenderCrashed, TransientJobError
from previewops.worker.sandbox.child import ChildConfig, ChildLimits
from previewops.worker.sandbox.child_messages import cpu_time_error, crash_error, deadline_error
from previewops.worker.sandbox.children import (
    EXIT_GRACE_S,
    Child,
    ConnectionClosed,
    ProcessSpawner,
    ProgressCallback,
    RequestHandler,
)
from previewops.worker.sandbox.fork_server import ForkServer
from previewops.worker.sandbox.framing import ProtocolError


class RenderPool:
    """Runs jobs in killable child processes.

    Args:
        task: "module:function", called in the child as ``function(spec, host)`` with the job's ``spec`` and a
            ``previewops.worker.sandbox.child.Host``; returns a JSON object.
        size: slots, that is jobs at a time.
        limits: what a child may use.
        confined: whether children give up, before their first job, what ``confinement`` names.
        readable: files that confined children may read all the same: fonts.
        edition: which files lie at ``readable`` now, however told; see ``run``.
        recycle_jobs: jobs after which a child is replaced; its successor is started during its last one.
        preload: modules that the pool's fork server imports before it forks.

    ``crashes`` counts children that died or broke the protocol during a job, ``deadline_kills`` those
    killed at a deadline or over their processor time, ``recycled`` those replaced in good health.
    """

    def __init__(
        self,
        task: str,
        *,
        size: int,
        limits: ChildLimits,
        recycle_jobs: int,
        preload: Sequence[str],
        confined: bool = False,
        readable: Sequence[str] = (),
        generation: Hashable = None,
    ) -> None:
        self.crashes = 0
        self.deadline_kills = 0
        self.recycled = 0
        self.confined = confined
        self._cpu_s = limits.cpu_s
        self._recycle_jobs = recycle_jobs
        self._server = ForkServer(preload)
        config = ChildConfig(task, limits, confined, tuple(readable))
        self._spawner = ProcessSpawner(config, self._server, generation)
        self._slots = [_Slot(self._spawner) for _ in range(size)]
        self._free_slots = list(self._slots)
        self._slot_semaphore = asyncio.Semaphore(size)
        self._closed = False

    async def start(self) -> None:
        """Starts all children and waits until they are ready. Without it each is started by its first job.

        Raises:
            TaskNotImportable: a child has started and cannot import the task.
            TransientJobError: code "render-process-unavailable", a child cannot be started.
        """
        self._check_open()
        await asyncio.gather(*(slot.child() for slot in self._slots))

    async def run(
        self,
        spec: dict[str, Any],
        *,
        deadline_s: float,
        elapsed_s: float = 0.0,
        generation: Hashable = None,
        progress: ProgressCallback | None = None,
        handle_request: RequestHandler | None = None,
    ) -> dict[str, Any]:
        """What the task returns for ``spec``; waits for a free slot first.

        ``deadline_s`` counts from when a child has the job, less ``elapsed_s``, which the job has used already.
        ``progress`` is called in the loop for each report of the task, and ``answer`` answers what it asks. When
        the caller is cancelled, or one of the two raises anything but a job's error, the child is killed before
        that goes on. A child that was started for another ``edition`` is replaced first: to it the kernel allows
        the files that lay at ``readable`` then, and it may remember them.

        Raises:
            PermanentJobError, TransientJobError: what the task raised, with ``remote_traceback``; code
                "unexpected" and ``error_class`` for any other exception; "out-of-memory" (permanent);
                "deadline-exceeded"; "cpu-time-exceeded" (permanent); "render-process-unavailable".
            RenderCrashed: the child died or broke the protocol.
        """
        self._check_open()
        async with self._slot_semaphore:
            slot = self._free_slots.pop()
            self._spawner.generation = generation
            try:
                child = await slot.child()
                if child.jobs + 1 >= self._recycle_jobs:
                    slot.prepare_successor()
                conversation = child.run_job(child.encode_job(spec), progress, handle_request)
                return await self._run_in(slot, child, conversation, deadline_s, elapsed_s)
            finally:
                self._free_slots.append(slot)

    def child_pids(self) -> list[int]:
        """Process ids of the children that are in a slot now."""
        return [slot.current.pid for slot in self._slots if slot.current is not None]

    def all_pids(self) -> list[int]:
        """Process ids of everything that runs for the pool: the fork server and all children, ready or not."""
        server = self._server.pid
        return [*self._spawner.pids(), *([] if server is None else [server])]

    async def close(self, *, kill: bool = True) -> None:
        """Ends every child and the fork server.

        ``kill=False`` lets running jobs end first.
        """
        if self._closed:
            return
        if not kill:
            for _ in self._slots:
                await self._slot_semaphore.acquire()
        self._closed = True
        for slot in self._slots:
            slot.abandon()
        await self._spawner.kill_all()
        await self._server.close()

    def _check_open(self) -> None:
        if self._closed:
            raise RuntimeError("the render pool is closed")

    async def _run_in(
        self,
        slot: _Slot,
        child: Child,
        conversation: Coroutine[Any, Any, dict[str, Any] | JobError],
        deadline_s: float,
        elapsed_s: float,
    ) -> dict[str, Any]:
        deadline = asyncio.timeout(deadline_s - elapsed_s)
        try:
            async with deadline:
                outcome = await conversation
        except BaseException as error:
            slot.vacate()
            code = await child.terminate(grace_s=EXIT_GRACE_S if isinstance(error, ConnectionClosed) else 0)
            if not self._closed:
                slot.prepare_successor()
            if deadline.expired() and isinstance(error, TimeoutError):
                self.deadline_kills += 1
                raise deadline_error(deadline_s) from None
            if isinstance(error, ConnectionClosed | ProtocolError):
                raise self._crashed(error, code, killed=child.killed) from None
            raise
        if child.out_of_memory or child.jobs >= self._recycle_jobs:
            slot.vacate()
            child.close()
            self.recycled += 1
        if isinstance(outcome, JobError):
            raise outcome
        return outcome

    def _crashed(self, error: Exception, code: int | None, *, killed: bool) -> JobError:
        if self._closed:
            return TransientJobError(
                "render-pool-closed", "the worker stopped rendering before the job was done"
            )
        if code == -signal.SIGXCPU:
            self.deadline_kills += 1
            return cpu_time_error(self._cpu_s)
        self.crashes += 1
        if isinstance(error, ProtocolError):
            return RenderCrashed(f"broke its protocol ({error}) and was killed")
        if killed:
            return RenderCrashed("hung up without ending and was killed")
        return crash_error(code)


class _Slot:
    """A place for one child, and for its successor while that is being started."""

    def __init__(self, spawner: ProcessSpawner) -> None:
        self.current: Child | None = None
        self._spawner = spawner
        self._successor: asyncio.Task[Child] | None = None

    async def child(self) -> Child:
        """The slot's child, a new one if there is none that can be used."""
        if self.current is not None and not self.current.usable:
            self._close_current()
        while self.current is None or self.current.generation != self._spawner.generation:
            self._close_current()
            self.current = await self._take_successor()
        return self.current

    def prepare_successor(self) -> None:
        """Starts the next child ahead of its time."""
        if self._successor is None:
            self._successor = asyncio.create_task(self._spawner.start_child(), name="render-child-start")
            self._successor.add_done_callback(_ignore_error)

    def vacate(self) -> None:
        """Empties the slot; what becomes of the child is the caller's business."""
        self.current = None

    def abandon(self) -> None:
        """Gives up the child and its successor."""
        if self._successor is not None:
            self._successor.cancel()
            self._successor.add_done_callback(_close_when_started)
            self._successor = None
        self._close_current()

    def _close_current(self) -> None:
        if self.current is not None:
            self.current.close()
            self.current = None

    async def _take_successor(self) -> Child:
        if self._successor is not None and self._successor.done():
            prepared, self._successor = self._successor, None
            if not prepared.cancelled() and prepared.exception() is None and prepared.result().usable:
                return prepared.result()
            _close_when_started(prepared)
        self.prepare_successor()
        assert self._successor is not None
        successor = self._successor
        try:
            # A cancelled job leaves the half-started child to the next one.
            return await asyncio.shield(successor)
        finally:
            if successor.done():
                self._successor = None


def _ignore_error(task: asyncio.Task[Child]) -> None:
    """Looks at a failure to start ahead, or asyncio reports it as forgotten: the next job tries again."""
    if not task.cancelled():
        task.exception()


def _close_when_started(start: asyncio.Task[Child]) -> None:
    """Lets go of a child that was started and is not wanted any more."""
    if not start.cancelled() and start.exception() is None:
        start.result().close()
