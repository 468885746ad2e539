"""The supervisor's loop with a fake backend, Redis and clock: scaling by load, replacing workers, stopping."""

from __future__ import annotations

import asyncio
import random
import signal
from collections.abc import Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest

from previewops.process.sd_notify import SystemdNotifier
from previewops.settings import Settings
from previewops.snapshot.fleet import SupervisorState, WorkerCountRange
from previewops.supervisor.autoscaling import SCALE_DOWN_WINDOW_S, Load
from previewops.supervisor.backend import WorkerHandle
from previewops.supervisor.commands import FleetCommand
from previewops.supervisor.environment import Launch
from previewops.supervisor.events import ControlRequest
from previewops.supervisor.host import HostMetrics
from previewops.supervisor.loop import POLL_INTERVAL_S, Supervisor
from previewops.supervisor.recycle_policy import RecycleLimits
from previewops.supervisor.redis_poller import PollResult, WorkerObservation

IDLE = Load(
    waiting=0,
    active=0,
    rate=0.0,
    slots=2,
    slots_elsewhere=0,
    paused=False,
    cpu=0.0,
    free_bytes=2**40,
    worker_bytes=2**30,
)
RUSH = Load(**{**{name: getattr(IDLE, name) for name in Load.__slots__}, "waiting": 100})


class FakeClock:
    """A clock that each poll advances by the poll interval."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def advance(self, seconds: float) -> None:
        self.now += seconds

    def now_ms(self) -> int:
        return int(self.now * 1000)

    def monotonic(self) -> float:
        return self.now


class FakeWorker:
    """Exits with status 0 at SIGTERM and by any other signal; only by SIGKILL when ``ignores_signals``."""

    def __init__(self, worker_id: str, pid: int) -> None:
        self.worker_id = worker_id
        self.pid = pid
        self.signals: list[signal.Signals] = []
        self.ignores_signals = False
        self.exited: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    async def wait(self) -> int | None:
        return await self.exited

    def signal(self, signum: signal.Signals) -> None:
        self.signals.append(signum)
        if self.ignores_signals and signum is not signal.SIGKILL:
            return
        self.exit(0 if signum is signal.SIGTERM else -signum)

    def exit(self, status: int) -> None:
        if not self.exited.done():
            self.exited.set_result(status)


class FakeBackend:
    name = "fake"

    def __init__(self) -> None:
        self.workers: list[FakeWorker] = []
        self.fails = False

    async def start(self, worker_id: str, slot_number: int, environ: Mapping[str, str]) -> WorkerHandle:
        if self.fails:
            raise OSError("no more processes")
        self.workers.append(FakeWorker(worker_id, len(self.workers) + 1))
        return self.workers[-1]

    async def adopt(self) -> list[WorkerHandle]:
        return []

    async def kill_orphans(self) -> list[str]:
        return []

    def forget(self, handle: WorkerHandle) -> None:
        pass

    def log_location(self, number: int, worker_id: str) -> str:
        return "nowhere"


class FakeRedis:
    """Stands in for all that uses Redis: every worker has just sent a heartbeat."""

    def __init__(self, clock: FakeClock) -> None:
        self.clock = clock
        self.load = IDLE
        self.states: list[SupervisorState] = []
        self.released: list[str] = []
        self.unavailable = False
        self.heartbeat_ms: int | None = None
        """Time of every worker's last heartbeat, if not just now."""

    async def poll(self, state: SupervisorState, worker_ids: Sequence[str], now: float) -> PollResult:
        await asyncio.sleep(0)
        self.clock.now += POLL_INTERVAL_S
        self.states.append(state)
        if self.unavailable:
            # The next poll is due some time after the loop has handled this failure.
            asyncio.get_running_loop().call_later(0.01, self.clock.advance, POLL_INTERVAL_S)
            raise OSError("connection refused")
        observation = WorkerObservation(self.heartbeat_ms or self.clock.now_ms(), 2**20, 0, 0.0)
        return PollResult(now, (), dict.fromkeys(worker_ids, observation), self.load)

    async def acknowledge(self, command: FleetCommand, *, done: bool, message: str) -> None:
        raise AssertionError("no command was sent")

    async def deregister(self) -> None:
        pass

    async def deregister_worker(self, worker_id: str, why: str, *, lost: bool) -> list[str]:
        self.released.append(worker_id)
        return []


class FakeHostMetrics(HostMetrics):
    """A host whose kernel has killed ``killed`` processes for memory."""

    killed = 3

    def oom_kills(self) -> int | None:
        return self.killed


class LoopFixture:
    """A supervisor with its fakes."""

    def __init__(self, bounds: WorkerCountRange) -> None:
        self.clock = FakeClock()
        self.backend = FakeBackend()
        self.redis = FakeRedis(self.clock)
        self.host_metrics = FakeHostMetrics()
        self.actions: list[str] = []
        anything: Any = self.redis
        self.supervisor = Supervisor(
            Launch(Settings(), {}),
            backend=self.backend,
            leases=anything,
            poller=anything,
            channel=anything,
            host_metrics=self.host_metrics,
            bounds=bounds,
            limits=RecycleLimits(),
            log_action=self.actions.append,
            reload=lambda: Launch(Settings(), {}),
            notifier=SystemdNotifier({}),
            clock=self.clock,
            rng=random.Random(7),
        )

    async def until(self, count: int, *, without: FakeWorker | None = None) -> float:
        """Waits until exactly ``count`` workers run, ``without`` not among them. Returns the time."""
        while True:
            workers = self.redis.states[-1].workers if self.redis.states else ()
            removed = without is None or all(worker.worker_id != without.worker_id for worker in workers)
            if removed and [worker.phase for worker in workers] == ["running"] * count:
                return self.clock.now
            await asyncio.sleep(0)

    async def polls(self, count: int) -> None:
        """Waits for ``count`` polls and the start of the next: the loop has handled all of them by then."""
        target = len(self.redis.states) + count + 1
        while True:
            if len(self.redis.states) >= target:
                return
            await asyncio.sleep(0)


@asynccontextmanager
async def running_loop(bounds: WorkerCountRange) -> Any:
    made = LoopFixture(bounds)
    running = asyncio.create_task(made.supervisor.run())
    try:
        yield made
    finally:
        made.supervisor.request(ControlRequest.STOP)
        await asyncio.wait_for(running, 30)


async def test_it_scales_up_soon_and_down_late() -> None:
    async with running_loop(WorkerCountRange(1, 4)) as made:
        await made.until(1)
        made.redis.load = RUSH
        started = made.clock.now
        raised = await made.until(4)
        assert raised - started < 10
        made.redis.load = IDLE
        lowered = await made.until(1)
        assert lowered - raised >= SCALE_DOWN_WINDOW_S - 10
        assert [worker.signals for worker in made.backend.workers] == [[], *[[signal.SIGTERM]] * 3]
    assert made.redis.released == [], "a drained worker releases its leases itself"


async def test_a_dead_worker_is_released_and_replaced() -> None:
    async with running_loop(WorkerCountRange(1, 1)) as made:
        await made.until(1)
        first = made.backend.workers[0]
        first.exit(-signal.SIGSEGV)
        await made.until(1, without=first)
        assert made.redis.released == [first.worker_id]
        assert any("exited (SIGSEGV)" in line for line in made.actions)


async def test_out_of_memory_is_reported_only_after_a_kill_by_the_kernel() -> None:
    async with running_loop(WorkerCountRange(2, 2)) as made:
        await made.until(2)
        first, second = made.backend.workers
        first.exit(-signal.SIGKILL)
        await made.until(2, without=first)
        assert any("SIGKILL" in line for line in made.actions)
        assert not any("memory" in line for line in made.actions)
        made.host_metrics.killed += 1
        second.exit(-signal.SIGKILL)
        await made.until(2, without=second)
        assert any("SIGKILL, probably out of memory" in line for line in made.actions)


def test_oom_kills_are_read_from_the_kernel() -> None:
    kills = HostMetrics().oom_kills()
    assert kills is None or kills >= 0


async def test_a_worker_without_heartbeats_is_aborted_and_then_killed() -> None:
    async with running_loop(WorkerCountRange(1, 1)) as made:
        await made.until(1)
        worker = made.backend.workers[0]
        worker.ignores_signals = True
        made.redis.heartbeat_ms = made.clock.now_ms()
        started = made.clock.now
        await worker.exited
        assert worker.signals == [signal.SIGABRT, signal.SIGKILL]
        assert made.clock.now - started < 10
        made.redis.heartbeat_ms = None
        await made.until(1, without=worker)
        assert made.redis.released == [worker.worker_id]


async def test_silence_around_an_outage_of_redis_is_not_a_hang() -> None:
    async with running_loop(WorkerCountRange(1, 1)) as made:
        await made.until(1)
        made.redis.heartbeat_ms = made.clock.now_ms()
        await made.polls(2)
        made.redis.unavailable = True
        await made.polls(1)
        made.redis.unavailable = False
        await made.polls(1)
        made.redis.heartbeat_ms = None
        await made.polls(3)
        assert made.backend.workers[0].signals == []


async def test_workers_that_cannot_be_started_become_fatal() -> None:
    async with running_loop(WorkerCountRange(1, 2)) as made:
        made.backend.fails = True
        await asyncio.wait_for(made.supervisor.all_fatal.wait(), 30)
        assert "it cannot be started" in made.supervisor.fatal[1]
        made.redis.load = RUSH
    assert made.supervisor.pids() == []


async def test_a_bug_in_a_task_ends_the_supervisor_and_its_workers() -> None:
    made = LoopFixture(WorkerCountRange(1, 1))
    running = asyncio.create_task(made.supervisor.run())
    await made.until(1)

    async def broken(worker_id: str, why: str, *, lost: bool) -> list[str]:
        raise ValueError("a bug")

    made.redis.deregister_worker = broken  # type: ignore[method-assign]
    made.backend.workers[0].exit(1)
    with pytest.raises(ValueError, match="a bug"):
        await asyncio.wait_for(running, 30)
    assert all(worker.exited.done() for worker in made.backend.workers)
