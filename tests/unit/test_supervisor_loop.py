"""The supervisor's loop with a fake backend, Redis and clock: scaling by load, replacing workers, stopping."""

from __future__ import annotations

import asyncio
import random
import signal
from collections.abc import Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from redis.exceptions import AuthenticationError

from previewops.errors import EXIT_FAILED, EXIT_UNREACHABLE
from previewops.process.sd_notify import SystemdNotifier
from previewops.settings import Settings
from previewops.snapshot.fleet import FAILING_AFTER_EXITS, SupervisorState, WorkerCountRange
from previewops.supervisor import lease_release
from previewops.supervisor.actions import Action
from previewops.supervisor.autoscaling import SCALE_DOWN_WINDOW_S, Load
from previewops.supervisor.backend import WorkerHandle
from previewops.supervisor.commands import FleetCommand, FleetCommandKind
from previewops.supervisor.environment import Launch
from previewops.supervisor.events import ControlRequest
from previewops.supervisor.host import HostMetrics
from previewops.supervisor.loop import POLL_INTERVAL_S, Supervisor
from previewops.supervisor.records import Drains, ReloadRecord, ReloadState, SupervisorRecords
from previewops.supervisor.recycle_policy import RecycleLimits
from previewops.supervisor.redis_poller import PollResult, WorkerObservation

IDLE = Load(
    waiting=0,
    active=0,
    rate=0.0,
    job_slots=2,
    job_slots_elsewhere=0,
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
        self.log = Path("/nonexistent/worker.log")
        self.workers: list[FakeWorker] = []
        self.failing_starts = 0

    async def start(self, worker_id: str, slot_number: int, environ: Mapping[str, str]) -> WorkerHandle:
        if self.failing_starts:
            self.failing_starts -= 1
            raise OSError("no more processes")
        self.workers.append(FakeWorker(worker_id, len(self.workers) + 1))
        return self.workers[-1]

    async def adopt(self) -> list[WorkerHandle]:
        return []

    async def kill_orphans(self) -> list[str]:
        return []

    def forget(self, handle: WorkerHandle) -> None:
        pass

    def log_source(self, number: int, worker_id: str) -> Path:
        return self.log


class FakeRedis:
    """Stands in for all that uses Redis: every worker has just sent a heartbeat."""

    def __init__(self, clock: FakeClock) -> None:
        self.clock = clock
        self.load = IDLE
        self.states: list[SupervisorState] = []
        self.released: list[str] = []
        self.unavailable = False
        self.commands: tuple[FleetCommand, ...] = ()
        self.results: list[tuple[str, bool, str]] = []
        self.heartbeat_ms: int | None = None
        """Time of every worker's last heartbeat, if not just now."""
        self.workers_known = True
        self.oldest_run_s = 0.0

    async def poll(self, state: SupervisorState, worker_ids: Sequence[str], now: float) -> PollResult:
        await asyncio.sleep(0)
        self.clock.now += POLL_INTERVAL_S
        self.states.append(state)
        if self.unavailable:
            # The next poll is due some time after the loop has handled this failure.
            asyncio.get_running_loop().call_later(0.01, self.clock.advance, POLL_INTERVAL_S)
            raise OSError("connection refused")
        observation = WorkerObservation(self.heartbeat_ms or self.clock.now_ms(), 2**20, 0, self.oldest_run_s)
        known = worker_ids if self.workers_known else ()
        return PollResult(now, self.commands, dict.fromkeys(known, observation), self.load)

    async def acknowledge(self, command: FleetCommand, *, done: bool, message: str) -> None:
        self.results.append((command.command_id, done, message))
        self.commands = ()

    async def deregister(self) -> None:
        pass

    async def deregister_worker(self, worker_id: str, reason: str, *, lost: bool) -> list[str]:
        self.released.append(worker_id)
        return []


class FakeHostMetrics(HostMetrics):
    """A host whose kernel has killed ``killed`` processes for memory."""

    killed = 3

    def oom_kills(self) -> int | None:
        return self.killed


class FakeRecords(SupervisorRecords):
    """Files in memory."""

    def __init__(self) -> None:
        self.drains = Drains()
        self.reloads: list[ReloadRecord] = []

    def read_drains(self) -> Drains:
        return self.drains

    def write_drains(self, drains: Drains) -> None:
        self.drains = drains

    def write_reload(self, record: ReloadRecord) -> None:
        self.reloads.append(record)

    def keep_alive(self) -> None:
        pass


class LoopFixture:
    """A supervisor with its fakes."""

    def __init__(self, bounds: WorkerCountRange, records: FakeRecords | None = None) -> None:
        self.clock = FakeClock()
        self.backend = FakeBackend()
        self.redis = FakeRedis(self.clock)
        self.host_metrics = FakeHostMetrics()
        self.actions: list[str] = []
        self.kinds: list[Action] = []
        self.records = records or FakeRecords()
        self.reload = Launch(Settings(), {})
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
            records=self.records,
            log_action=self.log,
            reload=lambda: self.reload,
            notifier=SystemdNotifier({}),
            clock=self.clock,
            rng=random.Random(7),
        )

    def log(self, action: Action, message: str) -> None:
        self.kinds.append(action)
        self.actions.append(message)

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
async def running_loop(bounds: WorkerCountRange, records: FakeRecords | None = None) -> Any:
    made = LoopFixture(bounds, records)
    running = asyncio.create_task(made.supervisor.run())
    try:
        yield made
    finally:
        made.supervisor.request(ControlRequest.STOP)
        await asyncio.wait_for(running, 60)


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


async def test_no_worker_is_hung_while_the_index_of_workers_is_damaged() -> None:
    async with running_loop(WorkerCountRange(1, 1)) as made:
        await made.until(1)
        made.redis.workers_known = False
        await made.polls(20)
        made.redis.workers_known = True
        await made.polls(1)
        assert made.backend.workers[0].signals == []


async def test_a_step_of_the_servers_clock_ends_no_worker() -> None:
    async with running_loop(WorkerCountRange(1, 1)) as made:
        await made.until(1)
        made.redis.oldest_run_s = 3_600.0
        await made.polls(10)
        assert made.backend.workers[0].signals == []


@pytest.mark.parametrize("status", [EXIT_FAILED, EXIT_UNREACHABLE, -signal.SIGSEGV])
async def test_a_worker_that_keeps_failing_is_tried_until_it_works(status: int) -> None:
    async with running_loop(WorkerCountRange(1, 1)) as made:
        failures = 3 * FAILING_AFTER_EXITS
        worker = None
        for _ in range(failures):
            await made.until(1, without=worker)
            worker = made.backend.workers[-1]
            worker.exit(status)
        await made.until(1, without=worker)
        (published,) = made.redis.states[-1].workers
        assert published.failing
        assert made.supervisor.fatal == {}
        assert made.kinds.count(Action.WORKER_FAILING) == 2, "at doubling counts"
        assert made.kinds.count(Action.WORKER_EXITED) == FAILING_AFTER_EXITS - 1
        await made.polls(12)
        assert not made.redis.states[-1].workers[0].failing
        assert made.kinds.count(Action.WORKER_RECOVERED) == 1
        assert f"works again after {failures} failed starts" in made.actions[-1]


async def test_workers_that_cannot_be_started_are_tried_until_they_can() -> None:
    made = LoopFixture(WorkerCountRange(1, 1))
    made.backend.failing_starts = 2 * FAILING_AFTER_EXITS
    running = asyncio.create_task(made.supervisor.run())
    await made.until(1)
    assert not made.supervisor.all_fatal.is_set()
    assert any("it cannot be started: no more processes" in line for line in made.actions)
    made.supervisor.request(ControlRequest.STOP)
    await asyncio.wait_for(running, 60)


async def test_leases_are_released_as_soon_as_redis_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease_release, "LATE_RETRY_S", 0.0)
    async with running_loop(WorkerCountRange(1, 1)) as made:
        await made.until(1)
        release, attempts = made.redis.deregister_worker, []

        async def fails_until_the_leases_have_expired(
            worker_id: str, reason: str, *, lost: bool
        ) -> list[str]:
            attempts.append(worker_id)
            made.clock.advance(Settings().lease_ms / 1000)
            if len(attempts) <= 2:
                raise AuthenticationError("WRONGPASS")
            return await release(worker_id, reason, lost=lost)  # type: ignore[no-any-return]

        made.redis.deregister_worker = fails_until_the_leases_have_expired
        dead = made.backend.workers[0]
        dead.exit(EXIT_FAILED)
        while not made.redis.released:
            await made.polls(1)
        await made.polls(1)
        assert made.redis.released == [dead.worker_id]
        assert {Action.LEASES_HELD, Action.LEASES_RELEASED} <= set(made.kinds)


def command(kind: FleetCommandKind, **fields: Any) -> FleetCommand:
    return FleetCommand(f"c-{kind}-{random.random()}", kind, who="alice", **fields)


async def execute(made: LoopFixture, sent: FleetCommand) -> str:
    made.redis.commands = (sent,)
    while all(result[0] != sent.command_id for result in made.redis.results):
        await made.polls(1)
    await made.polls(1)
    return made.redis.results[-1][2]


async def test_it_sends_the_end_of_a_workers_log(tmp_path: Path) -> None:
    async with running_loop(WorkerCountRange(1, 1)) as made:
        await made.until(1)
        (worker,) = made.backend.workers
        sent = command(FleetCommandKind.LOG, worker=worker.worker_id)
        assert "cannot be read" in await execute(made, sent)
        made.backend.log = tmp_path / "worker-1.log"
        made.backend.log.write_text("one\ntwo\n")
        sent = command(FleetCommandKind.LOG, worker=worker.worker_id)
        assert await execute(made, sent) == "one\ntwo"
        assert [result[0] for result in made.redis.results].count(sent.command_id) == 1
        assert "it has no worker w-x" in await execute(made, command(FleetCommandKind.LOG, worker="w-x"))
    assert Action.COMMAND_EXECUTED not in made.kinds, "a log that is read changes nothing"


async def test_a_drained_host_stays_drained_under_the_next_supervisor() -> None:
    records = FakeRecords()
    async with running_loop(WorkerCountRange(2, 2), records) as made:
        await made.until(2)
        await execute(made, command(FleetCommandKind.DRAIN, reason="moving storage"))
        drained = [worker.worker_id for worker in made.backend.workers]
    async with running_loop(WorkerCountRange(1, 4), records) as made:
        made.redis.load = RUSH
        await made.polls(5)
        workers = made.redis.states[-1].workers
        assert len(workers) == 4, "workers that the load asks for are drained as well"
        assert {worker.phase for worker in workers} == {"exited"}
        assert {worker.reason for worker in workers} == {"drained by alice: moving storage"}
        assert [worker.worker_id for worker in workers[:2]] == drained, "a reset can name them"
        assert made.backend.workers == []
        assert Action.WORKERS_DRAINED in made.kinds
        await execute(made, command(FleetCommandKind.RESET))
        await made.until(4)
    assert records.drains == Drains()


@pytest.mark.parametrize(
    "undo",
    [
        FleetCommand("1", FleetCommandKind.RESTART),
        FleetCommand("2", FleetCommandKind.RESET),
    ],
    ids=["restart", "reset"],
)
async def test_a_drained_worker_stays_drained_until_an_operator_starts_it(undo: FleetCommand) -> None:
    records = FakeRecords()
    async with running_loop(WorkerCountRange(2, 2), records) as made:
        await made.until(2)
        drained = made.backend.workers[1]
        await execute(made, command(FleetCommandKind.DRAIN, worker=drained.worker_id))
    async with running_loop(WorkerCountRange(2, 2), records) as made:
        await made.polls(3)
        assert [worker.phase for worker in made.redis.states[-1].workers] == ["running", "exited"]
        await execute(made, replace(undo, worker=drained.worker_id))
        await made.until(2)
    assert records.drains == Drains()


async def test_scaling_a_drained_host_starts_the_workers_that_it_adds() -> None:
    records = FakeRecords()
    async with running_loop(WorkerCountRange(2, 2), records) as made:
        await made.until(2)
        await execute(made, command(FleetCommandKind.DRAIN))
        await execute(made, command(FleetCommandKind.SCALE, bounds=WorkerCountRange(3, 3)))
        await made.polls(3)
        phases = [worker.phase for worker in made.redis.states[-1].workers]
        assert phases == ["exited", "exited", "running"]
        await execute(made, command(FleetCommandKind.SCALE, bounds=WorkerCountRange(0, 0)))
        await execute(made, command(FleetCommandKind.SCALE, bounds=WorkerCountRange(2, 2)))
        await made.until(2)


async def test_the_outcome_of_a_reload_is_recorded() -> None:
    async with running_loop(WorkerCountRange(1, 1)) as made:
        await made.until(1)
        first = made.backend.workers[0]
        made.supervisor.request(ControlRequest.RELOAD)
        await made.until(1, without=first)
        await made.polls(1)
        states = [(record.number, record.state) for record in made.records.reloads]
        assert states == [(1, ReloadState.RUNNING), (1, ReloadState.COMPLETED)]
        made.backend.failing_starts = 1
        made.supervisor.request(ControlRequest.RELOAD)
        await made.polls(2)
        last = made.records.reloads[-1]
        assert (last.number, last.state) == (2, ReloadState.REJECTED)
        assert "no more processes" in last.message
        assert Action.RELOAD_CANCELLED in made.kinds


async def test_a_bug_in_a_task_ends_the_supervisor_and_its_workers() -> None:
    made = LoopFixture(WorkerCountRange(1, 1))
    running = asyncio.create_task(made.supervisor.run())
    await made.until(1)

    async def broken(worker_id: str, reason: str, *, lost: bool) -> list[str]:
        raise ValueError("a bug")

    made.redis.deregister_worker = broken  # type: ignore[method-assign]
    made.backend.workers[0].exit(1)
    with pytest.raises(ValueError, match="a bug"):
        await asyncio.wait_for(running, 60)
    assert all(worker.exited.done() for worker in made.backend.workers)
