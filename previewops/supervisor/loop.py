"""The loop that owns the workers of one host.

Whatever happens is an event in one queue: an exit, a look at Redis, a signal, an order. The loop takes them one
by one, so nothing here needs a lock, and does what has fallen due in between. Nothing that may block is awaited
in it: looks, releases and acknowledgements are tasks of their own.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any

from redis.exceptions import RedisError

from previewops import __version__
from previewops.clock import Clock, Rng
from previewops.errors import PreviewopsError
from previewops.process.sd_notify import SystemdNotifier
from previewops.queue.leases import Leases
from previewops.snapshot.fleet import SupervisorState, WorkerCountRange
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
from previewops.supervisor.pool import KILL_AFTER_S, LogAction, WorkerPool
from previewops.supervisor.recycle_policy import RecycleLimits
from previewops.supervisor.redis_poller import PollResult, RedisPoller
from previewops.supervisor.rolling_restart import RollingRestart
from previewops.supervisor.slots import WorkerProcess

POLL_INTERVAL_S = 1.0
STARTING_POLL_INTERVAL_S = 0.25
"""Between looks while a worker is starting, so that it is soon known to run."""


class Supervisor:
    """Keeps as many workers running as ``bounds`` and the load ask for.

    Args:
        launch: what workers are started with.
        backend: what starts them.
        leases: how jobs of dead workers are given back, and their queue.
        watchtower, book: the supervisor's eyes in Redis and its mouth.
        bounds: the fewest and the most workers.
        limits: at which workers are recycled.
        tell: hears what happens, a line each.
        reload: makes the next launch at a reload; raises PreviewopsError if it must not be.
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
        log_action: LogAction,
        reload: Callable[[], Launch],
        notifier: SystemdNotifier,
        clock: Clock,
        rng: Rng,
    ) -> None:
        self._backend = backend
        self._watchtower = poller
        self._book = channel
        self._gauge = host_metrics
        self._bounds = bounds
        self._demand = Autoscaler(bounds.minimum)
        self._tell = log_action
        self._reload = reload
        self._notifier = notifier
        self._clock = clock
        self._started_ms = clock.now_ms()
        self._events: asyncio.Queue[Event] = asyncio.Queue()
        self._tasks: set[asyncio.Task[None]] = set()
        self._look_at = clock.monotonic()
        self._looking = False
        self._looked: float | None = None
        self._failures = 0
        self._stopping = False
        self._notice = ""
        self._fleet = WorkerPool(
            launch,
            backend=backend,
            limits=limits,
            log_action=log_action,
            rng=rng,
            spawn=self._spawn,
            on_worker_exit=self._ended,
            oom_kills=host_metrics.oom_kills,
        )
        self._replacements = RollingRestart(
            self._fleet, log_action=log_action, on_reload_end=self._on_reloaded
        )
        self._releases = LeaseReleaser(leases, clock=clock, log_action=log_action)
        self._order_taker = CommandHandler(
            self._fleet,
            self._replacements,
            channel=channel,
            set_bounds=self._set_bounds,
            log_action=log_action,
            spawn=self._spawn,
        )
        self.all_fatal = asyncio.Event()
        """Set while every place is FATAL."""

    # ---------------------------------------------------------------- from outside

    def request(self, request: ControlRequest) -> None:
        """Asks for something. Only enqueues: safe to call from a signal handler of the loop."""
        self._events.put_nowait(request)

    @property
    def fatal(self) -> dict[int, str]:
        """The places that are FATAL, each with the reason."""
        return self._fleet.fatal

    def pids(self) -> list[int]:
        """The process ids of the workers that run now."""
        return [worker.handle.pid for worker in self._fleet.workers]

    async def run(self) -> None:
        """Supervises until it is asked to stop and no worker is left."""
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
            self._fleet.adopt(handle, now)
        places = len(self._fleet.slots)
        self._demand = Autoscaler(self._bounds.clamp(max(self._demand.target, places)))
        self._fit(now)
        self._spawn(self._sweep())
        await self._due(self._clock.monotonic())
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
        self._fit(now)
        await self._due(now)
        self._notifier.feed_watchdog()

    def _handle(self, event: Event) -> None:
        if isinstance(event, WorkerExited):
            self._on_exit(event.worker, event.status)
        elif isinstance(event, PollResult):
            self._on_look(event)
        elif isinstance(event, PollFailed):
            self._on_blind(event.error)
        elif isinstance(event, TaskFailed):
            raise event.error
        elif isinstance(event, OrphansKilled):
            for worker_id in event.worker_ids:
                self._tell(f"{worker_id} was left behind by an earlier supervisor; it is gone")
                self._release(worker_id, "its supervisor died")
        else:
            self._on_wish(event)

    def _until_due_s(self, now: float) -> float:
        times = self._fleet.due_times()
        if not self._looking:
            times.append(self._look_at)
        return min(POLL_INTERVAL_S, max(0.0, min(times, default=now + POLL_INTERVAL_S) - now))

    def _fit(self, now: float) -> None:
        if self._stopping:
            return
        for place in self._fleet.resize(self._demand.target, now):
            self._replacements.cancel(place, now)
        self.all_fatal.clear()
        if self._fleet.slots and len(self.fatal) == len(self._fleet.slots):
            self.all_fatal.set()

    async def _due(self, now: float) -> None:
        """Does everything whose time has come."""
        await self._fleet.run_due(now)
        if not self._stopping:
            await self._replacements.step(now)
        if not self._looking and self._look_at <= now and not self._done():
            self._looking = True
            self._spawn(self._look(now))

    def _done(self) -> bool:
        return self._stopping and not self._fleet.workers

    async def _end(self) -> None:
        self._fleet.kill_all()  # some are left only when the loop itself has failed
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=KILL_AFTER_S)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        # While Redis is away, our silence will tell.
        with suppress(RedisError, OSError):
            async with asyncio.timeout(KILL_AFTER_S):
                await self._book.deregister()

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._task_done)

    def _task_done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None:
            self._events.put_nowait(TaskFailed(error))

    # ---------------------------------------------------------------- exits

    def _ended(self, worker: WorkerProcess, status: int | None) -> None:
        self._events.put_nowait(WorkerExited(worker, status))

    def _on_exit(self, worker: WorkerProcess, status: int | None) -> None:
        now = self._look_at = self._clock.monotonic()
        ended = self._fleet.remove_exited(worker, status, now)
        if not ended.clean:
            self._release(worker.worker_id, ended.describe())
        self._replacements.on_exit(worker, ended, now)
        self._fleet.on_exit(worker, ended, now, stopping=self._stopping)

    def _release(self, worker_id: str, why: str) -> None:
        self._spawn(self._releases.release(worker_id, why, self._fleet.launch.settings.lease_ms))

    async def _sweep(self) -> None:
        self._events.put_nowait(OrphansKilled(await self._backend.kill_orphans()))

    # ---------------------------------------------------------------- looks

    async def _look(self, now: float) -> None:
        ids = [worker.worker_id for worker in self._fleet.workers]
        try:
            self._events.put_nowait(await self._watchtower.poll(self._state(), ids, now))
        except Exception as error:
            # Redis is away, or holds what we do not understand: neither is a reason to leave the workers alone.
            self._events.put_nowait(PollFailed(error))

    def _on_look(self, look: PollResult) -> None:
        now = self._clock.monotonic()
        if self._failures:
            self._tell("Redis answers again")
        # A look that was late, because we were held up ourselves, says nothing about the workers' silence.
        passed_s = 0.0 if self._looked is None else min(now - self._looked, 2 * POLL_INTERVAL_S)
        self._looking, self._failures, self._looked = False, 0, now
        starting = any(worker.phase is Phase.STARTING for worker in self._fleet.workers)
        self._look_at = look.polled_at + (STARTING_POLL_INTERVAL_S if starting else POLL_INTERVAL_S)
        check_liveness(self._fleet, self._replacements, look, passed_s, now)
        if not self._stopping:
            self._demand = self._demand.observe(
                now, desired_workers(look.load, self._demand.target), self._bounds
            )
        self._order_taker.handle(look.commands, now, stopping=self._stopping)
        if look.commands:
            self._look_at = now  # who gave one will want to see what came of it
        self._notifier.status(self._summary())

    def _on_blind(self, error: Exception) -> None:
        self._failures += 1
        # The first, then ever rarer.
        if self._failures & (self._failures - 1) == 0:
            self._tell(
                f"Redis does not answer ({error}); workers are supervised, jobs and orders are not seen"
            )
        self._looking, self._looked = False, None
        self._look_at = self._clock.monotonic() + POLL_INTERVAL_S / 2
        for worker in self._fleet.workers:
            worker.heartbeats = worker.heartbeats.after_failed_poll()

    # ---------------------------------------------------------------- wishes

    def _on_wish(self, wish: ControlRequest) -> None:
        now = self._clock.monotonic()
        if wish is ControlRequest.STOP:
            self._stop(now)
        elif self._stopping:
            return
        elif wish is ControlRequest.RELOAD:
            self._begin_reload()
        else:
            step = 1 if wish is ControlRequest.ADD_WORKER else -1
            count = max(1, self._demand.target + step)
            self._set_bounds(WorkerCountRange(count, count))
            self._tell(f"{count} workers are wanted now")

    def _stop(self, now: float) -> None:
        if self._stopping:
            self._fleet.force_drain()
            return
        self._stopping = True
        self._releases.may_retry = False
        self._notifier.stopping("draining the workers")
        self._replacements.clear()
        self._fleet.drain_all(now, "the supervisor stops")

    def _begin_reload(self) -> None:
        self._notifier.reloading(int(self._clock.monotonic() * 1_000_000))
        try:
            launch = self._reload()
        except PreviewopsError as error:
            self._say_notice(f"the reload was refused: {error.message}; the old settings hold")
            self._notifier.ready(self._summary())
            return
        self._tell("reloading: the workers are replaced one by one")
        self._replacements.reload(launch)

    def _on_reloaded(self, why_not: str) -> None:
        if why_not:
            self._say_notice(f"the reload was given up: {why_not}; the old settings hold")
        else:
            self._say_notice("")
            self._tell("the reload is complete")
        self._notifier.ready(self._summary())

    def _set_bounds(self, bounds: WorkerCountRange) -> None:
        self._bounds = bounds
        self._demand = self._demand.with_bounds(bounds)

    # ---------------------------------------------------------------- what is said

    def _state(self) -> SupervisorState:
        return SupervisorState(
            host=host_name(),
            pid=os.getpid(),
            version=__version__,
            backend=self._backend.name,
            state="stopping" if self._stopping else "running",
            count=self._demand.target,
            worker_range=self._bounds,
            rss_bytes=self._gauge.rss_bytes(),
            started_ms=self._started_ms,
            notice=self._notice,
            workers=self._fleet.supervised_workers(),
        )

    def _say_notice(self, words: str) -> None:
        self._notice = words
        if words:
            self._tell(words)

    def _summary(self) -> str:
        running = sum(worker.phase is Phase.RUNNING for worker in self._fleet.workers)
        words = f"{running} of {self._demand.target} workers run"
        if self.fatal:
            words += f", {len(self.fatal)} FATAL"
        return f"{words}; {self._notice}" if self._notice else words
