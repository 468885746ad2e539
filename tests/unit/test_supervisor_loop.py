"""The supervisor's loop over workers that are none, on a clock of its own: scaling by load, and stopping."""

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
    """Moves on by a look's pause with each look."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def pass_s(self, seconds: float) -> None:
        self.now += seconds

    def now_ms(self) -> int:
        return int(self.now * 1000)

    def monotonic(self) -> float:
        return self.now


class FakeWorker:
    """Ends with status 0 at SIGTERM and by other signals at those; by SIGKILL alone when ``deaf``."""

    def __init__(self, worker_id: str, pid: int) -> None:
        self.worker_id = worker_id
        self.pid = pid
        self.signals: list[signal.Signals] = []
        self.deaf = False
        self.ended: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    async def wait(self) -> int | None:
        return await self.ended

    def signal(self, signum: signal.Signals) -> None:
        self.signals.append(signum)
        if self.deaf and signum is not signal.SIGKILL:
            return
        self.die(0 if signum is signal.SIGTERM else -signum)

    def die(self, status: int) -> None:
        if not self.ended.done():
            self.ended.set_result(status)


class FakeBackend:
    name = "fake"

    def __init__(self) -> None:
        self.workers: list[FakeWorker] = []
        self.broken = False

    async def start(self, worker_id: str, slot_number: int, environ: Mapping[str, str]) -> WorkerHandle:
        if self.broken:
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
    """Stands in for all that reaches Redis: every worker asked about has just beaten its heart."""

    def __init__(self, clock: FakeClock) -> None:
        self.clock = clock
        self.load = IDLE
        self.states: list[SupervisorState] = []
        self.released: list[str] = []
        self.away = False
        self.beaten_ms: int | None = None
        """When every worker's last heartbeat was, if not just now."""

    async def poll(self, state: SupervisorState, worker_ids: Sequence[str], now: float) -> PollResult:
        await asyncio.sleep(0)
        self.clock.now += POLL_INTERVAL_S
        self.states.append(state)
        if self.away:
            # The next look is due a while after this one's failure has been taken in.
            asyncio.get_running_loop().call_later(0.01, self.clock.pass_s, POLL_INTERVAL_S)
            raise OSError("nobody is there")
        seen = WorkerObservation(self.beaten_ms or self.clock.now_ms(), 2**20, 0, 0.0)
        return PollResult(now, (), dict.fromkeys(worker_ids, seen), self.load)

    async def acknowledge(self, command: FleetCommand, *, done: bool, message: str) -> None:
        raise AssertionError("nobody gave an order")

    async def deregister(self) -> None:
        pass

    async def deregister_worker(self, worker_id: str, why: str, *, lost: bool) -> list[str]:
        self.released.append(worker_id)
        return []


class Kernel(HostMetrics):
    """A machine that has killed ``killed`` processes for want of memory."""

    killed = 3

    def oom_kills(self) -> int | None:
        return self.killed


class Stage:
    def __init__(self, bounds: WorkerCountRange) -> None:
        self.clock = FakeClock()
        self.backend = FakeBackend()
        self.redis = FakeRedis(self.clock)
        self.kernel = Kernel()
        self.said: list[str] = []
        self.notified: list[str] = []
        anything: Any = self.redis
        self.supervisor = Supervisor(
            Launch(Settings(), {}),
            backend=self.backend,
            leases=anything,
            poller=anything,
            channel=anything,
            host_metrics=self.kernel,
            bounds=bounds,
            limits=RecycleLimits(),
            log_action=self.said.append,
            reload=lambda: Launch(Settings(), {}),
            notifier=SystemdNotifier({}),
            clock=self.clock,
            rng=random.Random(7),
        )

    async def until(self, count: int, *, without: FakeWorker | None = None) -> float:
        """The time at which ``count`` workers run and no other, nor ``without``."""
        while True:
            workers = self.redis.states[-1].workers if self.redis.states else ()
            gone = without is None or all(worker.worker_id != without.worker_id for worker in workers)
            if gone and [worker.phase for worker in workers] == ["running"] * count:
                return self.clock.now
            await asyncio.sleep(0)

    async def looks(self, count: int) -> None:
        """Returns in the look after ``count`` more, which all have been heeded by then."""
        wanted = len(self.redis.states) + count + 1
        while True:
            if len(self.redis.states) >= wanted:
                return
            await asyncio.sleep(0)


@asynccontextmanager
async def stage(bounds: WorkerCountRange) -> Any:
    made = Stage(bounds)
    running = asyncio.create_task(made.supervisor.run())
    try:
        yield made
    finally:
        made.supervisor.request(ControlRequest.STOP)
        await asyncio.wait_for(running, 30)


async def test_it_scales_up_soon_and_down_late() -> None:
    async with stage(WorkerCountRange(1, 4)) as made:
        await made.until(1)
        made.redis.load = RUSH
        began = made.clock.now
        risen = await made.until(4)
        assert risen - began < 10
        made.redis.load = IDLE
        fallen = await made.until(1)
        assert fallen - risen >= SCALE_DOWN_WINDOW_S - 10
        assert [worker.signals for worker in made.backend.workers] == [[], *[[signal.SIGTERM]] * 3]
    assert made.redis.released == [], "who ends in order gives its jobs back itself"


async def test_a_dead_worker_is_released_and_replaced() -> None:
    async with stage(WorkerCountRange(1, 1)) as made:
        await made.until(1)
        first = made.backend.workers[0]
        first.die(-signal.SIGSEGV)
        await made.until(1, without=first)
        assert made.redis.released == [first.worker_id]
        assert any("died (SIGSEGV)" in line for line in made.said)


async def test_memory_is_blamed_only_where_the_kernel_has_killed_for_it() -> None:
    async with stage(WorkerCountRange(2, 2)) as made:
        await made.until(2)
        first, second = made.backend.workers
        first.die(-signal.SIGKILL)
        await made.until(2, without=first)
        assert any("SIGKILL" in line for line in made.said)
        assert not any("memory" in line for line in made.said)
        made.kernel.killed += 1
        second.die(-signal.SIGKILL)
        await made.until(2, without=second)
        assert any("SIGKILL, probably out of memory" in line for line in made.said)


def test_the_kernel_is_asked() -> None:
    found = HostMetrics().oom_kills()
    assert found is None or found >= 0


async def test_a_worker_that_falls_silent_is_killed_after_a_word_for_its_log() -> None:
    async with stage(WorkerCountRange(1, 1)) as made:
        await made.until(1)
        worker = made.backend.workers[0]
        worker.deaf = True
        made.redis.beaten_ms = made.clock.now_ms()
        began = made.clock.now
        await worker.ended
        assert worker.signals == [signal.SIGABRT, signal.SIGKILL]
        assert made.clock.now - began < 10
        made.redis.beaten_ms = None
        await made.until(1, without=worker)
        assert made.redis.released == [worker.worker_id]


async def test_silence_around_an_outage_of_redis_is_no_hang() -> None:
    async with stage(WorkerCountRange(1, 1)) as made:
        await made.until(1)
        made.redis.beaten_ms = made.clock.now_ms()
        await made.looks(2)
        made.redis.away = True
        await made.looks(1)
        made.redis.away = False
        await made.looks(1)
        made.redis.beaten_ms = None
        await made.looks(3)
        assert made.backend.workers[0].signals == []


async def test_what_cannot_be_started_goes_fatal() -> None:
    async with stage(WorkerCountRange(1, 2)) as made:
        made.backend.broken = True
        await asyncio.wait_for(made.supervisor.fallen.wait(), 30)
        assert "it cannot be started" in made.supervisor.fatal[1]
        made.redis.load = RUSH
    assert made.supervisor.pids() == []


async def test_a_bug_in_a_task_ends_the_supervisor_and_its_workers() -> None:
    made = Stage(WorkerCountRange(1, 1))
    running = asyncio.create_task(made.supervisor.run())
    await made.until(1)

    async def broken(worker_id: str, why: str, *, lost: bool) -> list[str]:
        raise ValueError("a bug")

    made.redis.deregister_worker = broken  # type: ignore[method-assign]
    made.backend.workers[0].die(1)
    with pytest.raises(ValueError, match="a bug"):
        await asyncio.wait_for(running, 30)
    assert all(worker.ended.done() for worker in made.backend.workers)
