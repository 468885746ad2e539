"""The pool of render processes: child processes that can be killed, driven by asyncio.

A pool has one lane for each concurrent render, and a long-lived child in each lane. A fork server that has loaded
the imaging library forks them; the worker never imports it. A child runs one job after another over a socket. It is
replaced after a number of jobs, after it ran out of memory, and when it dies. Everything is an event of the worker's
loop: no threads, no timers except the deadlines of running jobs, no cost when idle.

Why not pebble, which has deadlines and recycling too: its tasks cannot report progress, its helper threads poll, and
the parent unpickles what a child returns, so a child compromised by a hostile image compromises the worker. Here a
child's messages are limited in size, parsed as JSON and checked; a child that violates the protocol is killed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Hashable, Mapping, Sequence
from typing import Any

from previewops.job_errors import JobError, RenderCrashed, TransientJobError
from previewops.worker.sandbox.child import ChildConfig, ChildLimits
from previewops.worker.sandbox.child_messages import cpu_time_error, crash_error, deadline_error
from previewops.worker.sandbox.children import (
    EXIT_GRACE_S,
    Child,
    ConnectionClosed,
    ProcessSpawner,
    ProgressCallback,
    RequestHandler,
    ResultCheck,
)
from previewops.worker.sandbox.confinement import ConfinementReport
from previewops.worker.sandbox.fork_server import ForkServer
from previewops.worker.sandbox.framing import ProtocolError


class RenderPool:
    """Runs jobs in killable child processes.

    Args:
        task: "module:function", called in the child as ``function(spec, context)`` with the job's ``spec`` and a
            ``previewops.worker.sandbox.child.TaskContext``; returns a JSON object.
        size: lanes, the number of concurrent jobs.
        limits: resource limits of a child.
        confined: whether children are confined before their first job, see ``confinement``.
        readable: files that confined children can read nevertheless: fonts.
        generation: identifies the current files of ``readable``; see ``run``.
        recycle_jobs: number of jobs after which a child is replaced; its last job starts the successor.
        preload: modules that the fork server imports before it forks.

    ``crashes`` counts children that died or violated the protocol during a job, ``deadline_kills`` those
    killed at a deadline or processor limit, ``recycled`` those replaced although they had not failed.
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
        self._cpu_s = limits.cpu_s
        self._recycle_jobs = recycle_jobs
        self._server = ForkServer(preload, confined=confined)
        config = ChildConfig(task, limits, tuple(readable))
        self._spawner = ProcessSpawner(config, self._server, generation)
        self._lanes = [_Lane(self._spawner) for _ in range(size)]
        self._free_lanes = list(self._lanes)
        self._lane_semaphore = asyncio.Semaphore(size)
        self._closed = False

    async def start(self) -> None:
        """Starts all children and waits until they are ready. Otherwise the first jobs start them.

        Raises:
            TaskImportError: a child has started and cannot import the task.
            TransientJobError: code "render-process-unavailable", a child cannot be started.
        """
        self._check_open()
        await asyncio.gather(*(lane.ensure_child() for lane in self._lanes))

    async def run(
        self,
        spec: dict[str, Any],
        *,
        deadline_s: float,
        elapsed_s: float = 0.0,
        generation: Hashable = None,
        common: Mapping[str, Any] | None = None,
        progress: ProgressCallback | None = None,
        handle_request: RequestHandler | None = None,
        check_result: ResultCheck | None = None,
    ) -> dict[str, Any]:
        """Runs the task with ``spec`` in a free lane, for which it waits, and returns its result.

        ``deadline_s`` counts from when a child receives the job, less ``elapsed_s``, which the job has used before.
        ``progress`` receives the task's reports, ``handle_request`` answers its requests, and ``check_result`` raises
        ProtocolError for a malformed result. The child is killed when the caller is cancelled, or one of the three
        raises anything but a job error. A child of another ``generation`` is replaced first: it may read only the
        files of its start, and may have cached them. ``common`` are further fields of ``spec``, the same for all
        jobs of a generation: a child gets them with its first job.

        Raises:
            PermanentJobError, TransientJobError: the task's error, with ``remote_traceback``; code
                "unexpected" and ``error_class`` for any other exception; "out-of-memory" (permanent);
                "deadline-exceeded"; "cpu-time-exceeded" (permanent); "render-process-unavailable".
            RenderCrashed: the child died or violated the protocol.
        """
        self._check_open()
        async with self._lane_semaphore:
            lane = self._free_lanes.pop()
            self._spawner.generation = generation
            try:
                child = await lane.ensure_child()
                if child.jobs + 1 >= self._recycle_jobs:
                    lane.prepare_successor()
                job_run = child.run_job(
                    child.encode_job(spec, common or {}), progress, handle_request, check_result
                )
                return await self._run_in(lane, child, job_run, deadline_s, elapsed_s)
            finally:
                self._free_lanes.append(lane)

    def child_pids(self) -> list[int]:
        """Process ids of the children in lanes."""
        return [lane.current.pid for lane in self._lanes if lane.current is not None]

    def all_pids(self) -> list[int]:
        """Process ids of the fork server and all children, ready or not."""
        return [*self._spawner.pids(), *self._server.pids]

    @property
    def confinement(self) -> ConfinementReport:
        """How the children are confined, as the last one that has started reported."""
        return self._spawner.confinement

    def confinement_fields(self) -> dict[str, Any]:
        """The same for the worker's report of itself."""
        return self.confinement.heartbeat_fields()

    async def close(self, *, kill: bool = True) -> None:
        """Ends every child and the fork server. ``kill=False`` lets running jobs finish first."""
        if self._closed:
            return
        if not kill:
            for _ in self._lanes:
                await self._lane_semaphore.acquire()
        self._closed = True
        for lane in self._lanes:
            lane.close()
        await self._spawner.kill_all()
        self._server.close()

    def _check_open(self) -> None:
        if self._closed:
            raise RuntimeError("the render pool is closed")

    async def _run_in(
        self,
        lane: _Lane,
        child: Child,
        job_run: Coroutine[Any, Any, dict[str, Any] | JobError],
        deadline_s: float,
        elapsed_s: float,
    ) -> dict[str, Any]:
        deadline = asyncio.timeout(deadline_s - elapsed_s)
        try:
            async with deadline:
                outcome = await job_run
        except BaseException as error:
            lane.current = None
            code = await child.terminate(grace_s=EXIT_GRACE_S if isinstance(error, ConnectionClosed) else 0)
            if not self._closed:
                lane.prepare_successor()
            if deadline.expired() and isinstance(error, TimeoutError):
                self.deadline_kills += 1
                raise deadline_error(deadline_s) from None
            if isinstance(error, ConnectionClosed | ProtocolError):
                if child.cpu_time_exceeded and not self._closed:
                    self.deadline_kills += 1
                    raise cpu_time_error(self._cpu_s) from None
                raise self._to_job_error(error, code, killed=child.killed) from None
            raise
        if child.out_of_memory or child.jobs >= self._recycle_jobs:
            lane.current = None
            child.close()
            self.recycled += 1
        if isinstance(outcome, JobError):
            raise outcome
        return outcome

    def _to_job_error(self, error: Exception, code: int | None, *, killed: bool) -> JobError:
        if self._closed:
            return TransientJobError(
                "render-pool-closed", "the worker stopped rendering before the job was done"
            )
        self.crashes += 1
        if isinstance(error, ProtocolError):
            return RenderCrashed(
                f"violated its protocol ({error}) and was killed", template="violated its protocol"
            )
        if killed:
            return RenderCrashed(
                "closed its connection without exiting and was killed", template="closed its connection"
            )
        return crash_error(code)


class _Lane:
    def __init__(self, spawner: ProcessSpawner) -> None:
        self.current: Child | None = None
        self._spawner = spawner
        self._successor: asyncio.Task[Child] | None = None

    async def ensure_child(self) -> Child:
        """Returns the lane's child; replaces one that is not usable."""
        if self.current is not None and not self.current.usable:
            self._close_current()
        while self.current is None or self.current.generation != self._spawner.generation:
            self._close_current()
            self.current = await self._take_successor()
        return self.current

    def prepare_successor(self) -> None:
        """Starts the next child in advance."""
        if self._successor is None:
            self._successor = asyncio.create_task(self._spawner.start_child(), name="render-child-start")
            # Retrieves an error, or asyncio would log it. The next job starts another child.
            self._successor.add_done_callback(lambda task: task.cancelled() or task.exception())

    def close(self) -> None:
        """Closes the child and its successor."""
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
            # If the job is cancelled, the next one takes the child that is starting.
            return await asyncio.shield(successor)
        finally:
            if successor.done():
                self._successor = None


def _close_when_started(start: asyncio.Task[Child]) -> None:
    if not start.cancelled() and start.exception() is None:
        start.result().close()
