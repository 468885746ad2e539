"""Event loop that owns the workers of one host.

All that happens is an event in one queue: an exit, a poll result, a signal. The loop handles them one by one, so
it needs no locks, and runs what is due in between. It awaits nothing that may block: polls, lease releases and
acknowledgements are tasks.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any

from redis.exceptions import RedisError

from previewops import __version__
from previewops.build import build_id
from previewops.clock import Clock, Rng
from previewops.errors import PreviewopsError
from previewops.process.sd_notify import SystemdNotifier
from previewops.queue.leases import Leases
from previewops.redis_server.connection import describe_failure
from previewops.snapshot.fleet import SupervisorState, WorkerCountRange
from previewops.supervisor.actions import Action, LogAction
from previewops.supervisor.autoscaling import Autoscaler, desired_workers
from previewops.supervisor.backend import WorkerBackend
from previewops.supervisor.command_handler import CommandHandler
from previewops.supervisor.commands import CommandChannel
from previewops.supervisor.environment import Launch
from previewops.supervisor.events import (
    ControlRequest,
    Event,
    OrphansKilled,
    PollFailed,
    TaskFailed,
    WorkerExited,
)
from previewops.supervisor.host import HostMetrics, host_name
from previewops.supervisor.lease_release import LeaseReleaser
from previewops.supervisor.liveness import check_liveness
from previewops.supervisor.phases import Phase
from previewops.supervisor.pool import KILL_AFTER_S, WorkerPool
from previewops.supervisor.records import ReloadRecord, ReloadState, SupervisorRecords
from previewops.supervisor.recycle_policy import RecycleLimits
from previewops.supervisor.redis_poller import PollResult, RedisPoller
from previewops.supervisor.rolling_restart import RollingRestart
from previewops.supervisor.slots import WorkerProcess

POLL_INTERVAL_S = 1.0
STARTING_POLL_INTERVAL_S = 0.25
"""Interval while a worker is starting, so that its first heartbeat is seen soon."""
KEEP_ALIVE_INTERVAL_S = 3600.0
"""Interval at which the supervisor marks its folder as in use."""


class Supervisor:
    """Keeps as many workers running as ``bounds`` and the load require.

    Args:
        launch: settings and environment of the workers.
        backend: starts the workers.
        leases: releases the jobs of workers that died.
        poller: reads workers, commands and load.
        channel: acknowledges commands.
        bounds: minimum and maximum number of workers.
        limits: limits at which workers are recycled.
        records: files that outlive this supervisor.
        log_action: logs each action.
        reload: returns the launch for a reload; raises PreviewopsError to reject it.
    """

    def __init__(
        self,
        launch: Launch,
        *,
        backend: WorkerBackend,
        leases: Leases,
        poller: RedisPoller,
        channel: CommandChannel,
        host_metrics: HostMetrics,
        bounds: WorkerCountRange,
        limits: RecycleLimits,
        records: SupervisorRecords,
        log_action: LogAction,
        reload: Callable[[], Launch],
        notifier: SystemdNotifier,
        clock: Clock,
        rng: Rng,
    ) -> None:
        self._backend = backend
        self._poller = poller
        self._channel = channel
        self._host_metrics = host_metrics
        self._bounds = bounds
        self._autoscaler = Autoscaler(bounds.minimum)
        self._records = records
        self._log_action = log_action
        self._reload = reload
        self._notifier = notifier
        self._clock = clock
        self._started_ms = clock.now_ms()
        self._events: asyncio.Queue[Event] = asyncio.Queue()
        self._tasks: set[asyncio.Task[None]] = set()
        self._next_poll_at = clock.monotonic()
        self._next_keep_alive_at = clock.monotonic()
        self._reloads = 0
        self._polling = False
        self._last_poll_at: float | None = None
        self._failed_polls = 0
        self._stopping = False
        self._notice = ""
        self._pool = WorkerPool(
            launch,
            backend=backend,
            limits=limits,
            records=records,
            log_action=log_action,
            rng=rng,
            spawn=self._spawn,
            on_worker_exit=lambda worker, status: self._events.put_nowait(WorkerExited(worker, status)),
            oom_kills=host_metrics.oom_kills,
        )
        self._rolling_restart = RollingRestart(
            self._pool, log_action=log_action, on_reload_end=self._on_reload_end
        )
        self._lease_releaser = LeaseReleaser(leases, clock=clock, log_action=log_action)
        self._command_handler = CommandHandler(
            self._pool,
            self._rolling_restart,
            backend=backend,
            channel=channel,
            set_bounds=self._set_bounds,
            log_action=log_action,
            spawn=self._spawn,
        )
        self.all_fatal = asyncio.Event()
        """Set while every slot is FATAL."""

    # ---------------------------------------------------------------- interface

    def request(self, request: ControlRequest) -> None:
        """Enqueues a request. Safe to call from a signal handler of the loop."""
        self._events.put_nowait(request)

    def announce_reloads(self) -> None:
        """Records that SIGHUP makes this process reload, for ``previewops reload``. Call it once SIGHUP does."""
        self._record_reload(ReloadState.COMPLETED, "")

    @property
    def fatal(self) -> dict[int, str]:
        """Numbers of the slots that are FATAL, with their reasons."""
        return self._pool.fatal

    def pids(self) -> list[int]:
        """Returns the process ids of the running workers."""
        return [worker.handle.pid for worker in self._pool.workers]

    async def run(self) -> None:
        """Supervises until a STOP request, and then until all workers have exited."""
        try:
            await self._begin()
            while not self._done():
                await self._turn()
            self._notifier.stopping("stopped")
        finally:
            await self._end()

    # ---------------------------------------------------------------- the loop

    async def _begin(self) -> None:
        now = self._clock.monotonic()
        for handle in await self._backend.adopt():
            self._pool.adopt(handle, now)
        adopted = len(self._pool.slots)
        self._autoscaler = Autoscaler(self._bounds.clamp(max(self._autoscaler.target, adopted)))
        self._resize_pool(now)
        self._log_kept_drains()
        self._spawn(self._kill_orphans())
        await self._run_due(self._clock.monotonic())
        self._notifier.ready(self._summary())

    async def _turn(self) -> None:
        try:
            async with asyncio.timeout(self._until_due_s(self._clock.monotonic())):
                event = await self._events.get()
        except TimeoutError:
            event = None
        if event is not None:
            self._handle(event)
        now = self._clock.monotonic()
        self._resize_pool(now)
        await self._run_due(now)
        self._notifier.feed_watchdog()

    def _handle(self, event: Event) -> None:
        if isinstance(event, WorkerExited):
            self._on_exit(event.worker, event.status)
        elif isinstance(event, PollResult):
            self._on_poll_result(event)
        elif isinstance(event, PollFailed):
            self._on_poll_failed(event.error)
        elif isinstance(event, TaskFailed):
            raise event.error
        elif isinstance(event, OrphansKilled):
            for worker_id in event.worker_ids:
                message = f"killed {worker_id}, an orphan of an earlier supervisor"
                self._log_action(Action.ORPHAN_KILLED, message)
                self._release(worker_id, "its supervisor died")
        else:
            self._on_request(event)

    def _until_due_s(self, now: float) -> float:
        times = self._pool.due_times()
        if not self._polling:
            times.append(self._next_poll_at)
        return min(POLL_INTERVAL_S, max(0.0, min(times, default=now + POLL_INTERVAL_S) - now))

    def _resize_pool(self, now: float) -> None:
        if self._stopping:
            return
        for slot in self._pool.resize(self._autoscaler.target, now):
            self._rolling_restart.cancel(slot, now)
        self.all_fatal.clear()
        if self._pool.slots and len(self.fatal) == len(self._pool.slots):
            self.all_fatal.set()

    async def _run_due(self, now: float) -> None:
        await self._pool.run_due(now)
        if not self._stopping:
            await self._rolling_restart.step(now)
        if self._next_keep_alive_at <= now:
            self._next_keep_alive_at = now + KEEP_ALIVE_INTERVAL_S
            self._records.keep_alive()
        if not self._polling and self._next_poll_at <= now and not self._done():
            self._polling = True
            self._spawn(self._poll(now))

    def _done(self) -> bool:
        return self._stopping and not self._pool.workers

    async def _end(self) -> None:
        self._pool.kill_all()  # some are left only when the loop itself has failed
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=KILL_AFTER_S)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        # While Redis is unavailable, the missing reports show that this supervisor has stopped.
        with suppress(RedisError, OSError):
            async with asyncio.timeout(KILL_AFTER_S):
                await self._channel.deregister()

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._on_task_done)

    def _on_task_done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None:
            self._events.put_nowait(TaskFailed(error))

    # ---------------------------------------------------------------- exits

    def _on_exit(self, worker: WorkerProcess, status: int | None) -> None:
        now = self._next_poll_at = self._clock.monotonic()
        worker_exit = self._pool.remove_exited(worker, status, now)
        if not worker_exit.clean:
            self._release(worker.worker_id, worker_exit.describe())
        self._rolling_restart.on_exit(worker, worker_exit, now)
        self._pool.on_exit(worker, worker_exit, now, stopping=self._stopping)

    def _release(self, worker_id: str, reason: str) -> None:
        self._spawn(self._lease_releaser.release(worker_id, reason, self._pool.launch.settings.lease_ms))

    async def _kill_orphans(self) -> None:
        self._events.put_nowait(OrphansKilled(await self._backend.kill_orphans()))

    # ---------------------------------------------------------------- polls

    async def _poll(self, now: float) -> None:
        ids = [worker.worker_id for worker in self._pool.workers]
        try:
            self._events.put_nowait(await self._poller.poll(self._state(), ids, now))
        except Exception as error:
            # Redis is unavailable or holds invalid data. The workers are supervised all the same.
            self._events.put_nowait(PollFailed(error))

    def _on_poll_result(self, result: PollResult) -> None:
        now = self._clock.monotonic()
        if self._failed_polls:
            self._log_action(Action.REDIS_AVAILABLE, "Redis is available again")
        # The time since a poll that was late, because this process did not run, is not a silence of the workers.
        elapsed_s = 0.0 if self._last_poll_at is None else min(now - self._last_poll_at, 2 * POLL_INTERVAL_S)
        self._polling, self._failed_polls, self._last_poll_at = False, 0, now
        starting = any(worker.phase is Phase.STARTING for worker in self._pool.workers)
        self._next_poll_at = result.polled_at + (STARTING_POLL_INTERVAL_S if starting else POLL_INTERVAL_S)
        check_liveness(self._pool, self._rolling_restart, result, elapsed_s, now)
        if not self._stopping:
            desired = desired_workers(result.load, self._autoscaler.target)
            self._autoscaler = self._autoscaler.observe(now, desired, self._bounds)
        self._command_handler.handle(result.commands, now, stopping=self._stopping)
        if result.commands:
            self._next_poll_at = now  # so that their effect is published at once
        self._notifier.status(self._summary())

    def _on_poll_failed(self, error: Exception) -> None:
        self._failed_polls += 1
        # Logged at the 1st, 2nd, 4th, 8th... failure in a row.
        if self._failed_polls & (self._failed_polls - 1) == 0:
            consequence = "workers are supervised, but not their jobs; commands are not read"
            self._log_action(
                Action.REDIS_UNAVAILABLE, f"Redis is unavailable ({describe_failure(error)}); {consequence}"
            )
        self._polling, self._last_poll_at = False, None
        self._next_poll_at = self._clock.monotonic() + POLL_INTERVAL_S / 2
        for worker in self._pool.workers:
            worker.heartbeats = worker.heartbeats.after_failed_poll()

    # ---------------------------------------------------------------- requests

    def _on_request(self, request: ControlRequest) -> None:
        now = self._clock.monotonic()
        if request is ControlRequest.STOP:
            self._stop(now)
        elif self._stopping:
            return
        elif request is ControlRequest.RELOAD:
            self._begin_reload()
        else:
            step = 1 if request is ControlRequest.ADD_WORKER else -1
            count = max(1, self._autoscaler.target + step)
            self._set_bounds(WorkerCountRange(count, count))
            self._pool.save_drains(None)
            self._log_action(Action.WORKERS_SCALED, f"the number of workers is set to {count}")

    def _stop(self, now: float) -> None:
        if self._stopping:
            self._pool.force_drain()
            return
        self._stopping = True
        self._lease_releaser.may_retry = False
        self._notifier.stopping("draining the workers")
        self._rolling_restart.clear()
        self._pool.drain_all(now, "the supervisor stops")

    def _begin_reload(self) -> None:
        self._notifier.reloading(int(self._clock.monotonic() * 1_000_000))
        self._reloads += 1
        try:
            launch = self._reload()
        except PreviewopsError as error:
            notice = f"the reload is rejected: {error.message}; the old settings remain"
            self._end_reload(ReloadState.REJECTED, Action.RELOAD_REJECTED, notice)
            return
        self._log_action(Action.RELOAD_STARTED, "reloading: the workers are replaced one by one")
        self._record_reload(ReloadState.RUNNING, "")
        self._rolling_restart.reload(launch)

    def _on_reload_end(self, failure: str) -> None:
        if failure:
            notice = f"the reload is cancelled: {failure}; the old settings remain"
            self._end_reload(ReloadState.REJECTED, Action.RELOAD_CANCELLED, notice)
        else:
            self._end_reload(ReloadState.COMPLETED, Action.RELOAD_COMPLETED, "")

    def _end_reload(self, state: ReloadState, action: Action, notice: str) -> None:
        self._notice = notice
        self._log_action(action, notice or "the reload is complete")
        self._record_reload(state, notice)
        self._notifier.ready(self._summary())

    def _record_reload(self, state: ReloadState, message: str) -> None:
        self._records.write_reload(ReloadRecord(os.getpid(), self._reloads, state, message))

    def _log_kept_drains(self) -> None:
        drained = {number: slot.reason for number, slot in self._pool.slots.items() if slot.keep_empty}
        if drained:
            slots, reasons = ", ".join(map(str, drained)), "; ".join(dict.fromkeys(drained.values()))
            message = f"workers {slots} stay drained ({reasons}); `previewops reset` starts them"
            self._log_action(Action.WORKERS_DRAINED, message)

    def _set_bounds(self, bounds: WorkerCountRange) -> None:
        self._bounds = bounds
        self._autoscaler = self._autoscaler.with_bounds(bounds)

    # ---------------------------------------------------------------- published state

    def _state(self) -> SupervisorState:
        return SupervisorState(
            host=host_name(),
            pid=os.getpid(),
            version=__version__,
            build=build_id(),
            backend=self._backend.name,
            state="stopping" if self._stopping else "running",
            count=self._autoscaler.target,
            worker_range=self._bounds,
            rss_bytes=self._host_metrics.rss_bytes(),
            started_ms=self._started_ms,
            notice=self._notice,
            workers=self._pool.supervised_workers(),
            gauges=self._host_metrics.gauges(),
        )

    def _summary(self) -> str:
        running = sum(worker.phase is Phase.RUNNING for worker in self._pool.workers)
        summary = f"{running} of {self._autoscaler.target} workers run"
        if self.fatal:
            summary += f", {len(self.fatal)} FATAL"
        return f"{summary}; {self._notice}" if self._notice else summary
