"""The supervisor with real workers that are killed, hang, cannot start, are replaced, scaled or orphaned."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from pathlib import Path

import psutil
import pytest

from previewops.errors import EXIT_FAILED, EXIT_USAGE, CommandRejected
from previewops.snapshot.fleet import WorkerCountRange
from previewops.states import LAYOUT, JobState
from previewops.supervisor.commands import FleetCommandKind
from tests.fault.cluster import Cluster, Gate, payload
from tests.fault.supervisor_process import SupervisorProcess
from tests.queue_support import QUEUE
from tests.redis_server import RedisProcess

pytestmark = [pytest.mark.redis]

ROOT = Path(__file__).parents[2]
WITH_ABSENCE = os.pathsep.join([str(ROOT), str(ROOT / "tests" / "missing_module")])
NEVER_MS = 600_000
"""A lease that does not expire within a test, so a job that runs again was released."""


async def test_row_1_a_killed_worker_s_job_runs_again_at_once(redis_url: str, tmp_path: Path) -> None:
    gate = Gate(tmp_path / "gate")
    async with (
        Cluster(redis_url, tmp_path, lease_ms=NEVER_MS) as cluster,
        SupervisorProcess(cluster, "--workers", "2") as supervisor,
    ):
        workers = await supervisor.running(2)
        await cluster.submit(payload("held", gate=str(gate.path)))
        await gate.arrival()
        gate.remove()
        holder = (await cluster.status("held")).worker
        victim = next(worker for worker in workers if worker.worker_id == holder)
        assert victim.pid is not None
        killed = time.monotonic()
        os.kill(victim.pid, signal.SIGKILL)
        record = await cluster.until("held", JobState.COMPLETED)
        print(f"completed {time.monotonic() - killed:.2f} s after the kill")
        assert (record.attempts, record.crashes) == (0, 1)
        assert "SIGKILL" in record.history[0].message
        await supervisor.sees(
            "the slot has a new worker",
            lambda view: (
                [worker.phase for worker in view.state.workers] == ["running"] * 2
                and holder not in {worker.worker_id for worker in view.state.workers}
            ),
        )
        await cluster.judge()


@pytest.mark.parametrize("how", ["frozen", "looping"])
async def test_a_hung_worker_is_replaced_and_its_job_runs_again(
    redis_url: str, tmp_path: Path, how: str
) -> None:
    gate = Gate(tmp_path / "gate")
    async with (
        Cluster(redis_url, tmp_path, lease_ms=NEVER_MS) as cluster,
        SupervisorProcess(cluster, "--workers", "1") as supervisor,
    ):
        (worker,) = await supervisor.running(1)
        assert worker.pid is not None
        await cluster.submit(payload("held", gate=str(gate.path)))
        await gate.arrival()
        gate.remove()
        hung = time.monotonic()
        # SIGUSR1 makes a worker under test block its event loop for ever.
        os.kill(worker.pid, signal.SIGSTOP if how == "frozen" else signal.SIGUSR1)
        record = await cluster.until("held", JobState.COMPLETED)
        print(f"completed {time.monotonic() - hung:.2f} s after the hang")
        assert (record.attempts, record.crashes) == (0, 1)
        assert "hung: no heartbeat" in record.history[0].message

        async def replaced() -> bool:
            (there,) = await supervisor.running(1)
            return there.worker_id != worker.worker_id

        # The job may complete before the supervisor publishes the new worker.
        await cluster.eventually(replaced, "the successor is published")
        assert not psutil.pid_exists(worker.pid)
        if how == "looping":
            assert "block_loop" in supervisor.read_logs(), "SIGABRT makes it write its stack"
        await cluster.judge()


@pytest.mark.parametrize(
    ("setting", "value"),
    [("PREVIEW_LEASE_MS", "nonsense"), ("PYTHON_MISSING_MODULE", "PIL")],
    ids=["settings", "module"],
)
async def test_row_17_a_worker_that_cannot_boot_goes_fatal_and_consumes_no_job(
    redis_url: str, tmp_path: Path, setting: str, value: str
) -> None:
    async with (
        Cluster(redis_url, tmp_path) as cluster,
        SupervisorProcess(
            cluster, "--workers", "1", WORKER_OVERLAY=f"{setting}={value}", PYTHONPATH=WITH_ABSENCE
        ) as supervisor,
    ):
        await cluster.submit(payload("waits"))
        view = await supervisor.sees("FATAL", lambda view: view.state.workers[0].phase == "fatal")
        (worker,) = view.state.workers
        assert worker.pid is None
        assert worker.rapid_exits == 1
        assert (await cluster.status("waits")).state is JobState.WAITING
        assert supervisor.worker_log(1).read_text().count("boots as") == 1
        # After a reset by an operator it starts again.
        await supervisor.control.send(FleetCommandKind.RESET, worker=worker.worker_id, reason="try again")
        await supervisor.sees(
            "FATAL again",
            lambda view: (
                view.state.workers[0].phase == "fatal" and view.state.workers[0].worker_id != worker.worker_id
            ),
        )
        await cluster.judge()


async def test_a_worker_whose_start_fails_is_started_again_when_the_cause_is_gone(
    redis_url: str, tmp_path: Path
) -> None:
    cause = tmp_path / "cause"
    cause.touch()
    async with (
        Cluster(redis_url, tmp_path) as cluster,
        SupervisorProcess(cluster, "--workers", "1", BOOT_FAULT=str(cause)) as supervisor,
    ):
        await cluster.submit(payload("waits"))
        view = await supervisor.sees("it keeps failing", lambda view: view.state.workers[0].failing)
        assert view.state.workers[0].phase != "fatal"
        cause.unlink()
        await cluster.until("waits", JobState.COMPLETED)
        failing = [line for line in supervisor.log_lines() if line.get("action") == "worker-failing"]
        assert [line["level"] for line in failing] == ["critical"]
        await cluster.judge()


async def test_workers_start_when_a_newer_layout_is_gone(redis_url: str, tmp_path: Path) -> None:
    """Another host was upgraded, and is rolled back: the layout fits again, and nobody resets the workers."""
    async with (
        Cluster(redis_url, tmp_path) as cluster,
        SupervisorProcess(cluster, "--workers", "1") as supervisor,
    ):
        (worker,) = await supervisor.running(1)
        assert worker.pid is not None
        await cluster.redis.hset(f"{QUEUE}:meta", "layout", LAYOUT + 1)  # type: ignore[misc]
        os.kill(worker.pid, signal.SIGKILL)

        async def tried_again() -> bool:
            rejected = [line for line in supervisor.log_lines() if "(status 75)" in str(line)]
            return bool(rejected)

        await cluster.eventually(tried_again, "a worker rejects the layout")
        await cluster.redis.hset(f"{QUEUE}:meta", "layout", LAYOUT)  # type: ignore[misc]
        await cluster.submit(payload("later"))
        await cluster.until("later", JobState.COMPLETED)
        await cluster.judge()


async def test_row_16_rolling_restarts_during_one_long_job_cost_no_attempt(
    redis_url: str, tmp_path: Path
) -> None:
    gate = Gate(tmp_path / "gate")
    async with (
        Cluster(redis_url, tmp_path, drain_timeout_s=0) as cluster,
        SupervisorProcess(cluster, "--workers", "2") as supervisor,
    ):
        workers = await supervisor.running(2)
        await cluster.submit(payload("long", gate=str(gate.path)))
        await gate.arrival()
        for _ in range(3):
            before = {worker.worker_id for worker in workers}
            supervisor.signal(signal.SIGHUP)
            await supervisor.sees(
                "all are replaced",
                lambda view, before=before: (  # type: ignore[misc]
                    [worker.phase for worker in view.state.workers] == ["running"] * 2
                    and not before & {worker.worker_id for worker in view.state.workers}
                ),
            )
            workers = await supervisor.running(2)
        gate.remove()
        # The waiting render continues, and a later attempt finds no gate.
        gate.open()
        record = await cluster.until("long", JobState.COMPLETED)
        assert (record.attempts, record.crashes) == (0, 0)
        await cluster.judge()


async def test_broken_settings_at_a_reload_leave_the_old_workers_alone(
    redis_url: str, tmp_path: Path
) -> None:
    environment = tmp_path / "environment"
    environment.write_text("PREVIEW_BACKOFF_MAX_MS=200\n")
    async with (
        Cluster(redis_url, tmp_path) as cluster,
        SupervisorProcess(cluster, "--workers", "2", "--env-file", str(environment)) as supervisor,
    ):
        workers = await supervisor.running(2)
        environment.write_text("PREVIEW_BACKOFF_MAX_MS=soon\n")
        supervisor.signal(signal.SIGHUP)
        view = await supervisor.sees("a notice", lambda view: view.state.notice)
        assert "PREVIEW_BACKOFF_MAX_MS: found 'soon'" in view.state.notice
        environment.write_text("BOOT_FAULT=/\n")  # valid, but no worker starts with it
        supervisor.signal(signal.SIGHUP)
        view = await supervisor.sees("a notice", lambda view: "is cancelled" in view.state.notice)
        assert [worker.worker_id for worker in view.state.workers] == [worker.worker_id for worker in workers]
        environment.write_text("")
        supervisor.signal(signal.SIGHUP)
        await supervisor.sees("the notice is removed", lambda view: not view.state.notice)
        renewed = await supervisor.running(2)
        assert not {worker.worker_id for worker in workers} & {worker.worker_id for worker in renewed}


async def test_a_reload_with_good_settings_starts_what_was_given_up(redis_url: str, tmp_path: Path) -> None:
    environment = tmp_path / "environment"
    environment.write_text("WORKER_OVERLAY=PREVIEW_LEASE_MS=nonsense\n")
    async with (
        Cluster(redis_url, tmp_path) as cluster,
        SupervisorProcess(cluster, "--workers", "1", "--env-file", str(environment)) as supervisor,
    ):
        await supervisor.sees("FATAL", lambda view: view.state.workers[0].phase == "fatal")
        environment.write_text("WORKER_OVERLAY=PREVIEW_LEASE_MS=2000\n")
        supervisor.signal(signal.SIGHUP)
        await supervisor.running(1)


async def test_workers_are_recycled_between_jobs(redis_url: str, tmp_path: Path) -> None:
    async with (
        Cluster(redis_url, tmp_path) as cluster,
        SupervisorProcess(cluster, "--workers", "1", "--max-jobs", "1") as supervisor,
    ):
        (worker,) = await supervisor.running(1)
        await cluster.submit(*(payload(f"job-{n}") for n in range(20)))
        await supervisor.sees(
            "another worker",
            lambda view: (
                [worker.phase for worker in view.state.workers] == ["running"]
                and view.state.workers[0].worker_id != worker.worker_id
            ),
        )
        snapshot = await cluster.drained()
        assert snapshot.counters["completed"] == 20
        assert snapshot.counters["crashed"] == snapshot.counters["retried"] == 0
        assert "jobs" in supervisor.log.read_text()
        await cluster.judge()


async def test_signals_scale_and_sigterm_drains(redis_url: str, tmp_path: Path) -> None:
    gate = Gate(tmp_path / "gate")
    async with (
        Cluster(redis_url, tmp_path, drain_timeout_s=60) as cluster,
        SupervisorProcess(cluster, "--workers", "1") as supervisor,
    ):
        await supervisor.running(1)
        supervisor.signal(signal.SIGTTIN)
        await supervisor.running(2)
        supervisor.signal(signal.SIGTTOU)
        await supervisor.running(1)
        await cluster.submit(payload("held", gate=str(gate.path)))
        await gate.arrival()
        family = supervisor.family()
        supervisor.signal(signal.SIGTERM)
        await supervisor.sees(
            "it drains", lambda view: [worker.phase for worker in view.state.workers] == ["draining"]
        )
        gate.open()
        assert await supervisor.stopped() == 0
        assert (await cluster.status("held")).state is JobState.COMPLETED
        _, alive = await asyncio.to_thread(psutil.wait_procs, family, timeout=60)
        assert not alive
        assert await supervisor.control.supervisors() == ()
        await cluster.judge()


async def test_sigterm_kills_who_does_not_drain(redis_url: str, tmp_path: Path) -> None:
    async with (
        Cluster(redis_url, tmp_path, drain_timeout_s=0) as cluster,
        SupervisorProcess(cluster, "--workers", "1") as supervisor,
    ):
        (worker,) = await supervisor.running(1)
        assert worker.pid is not None
        os.kill(worker.pid, signal.SIGSTOP)
        supervisor.signal(signal.SIGTERM)
        assert await supervisor.stopped() == 0
        assert not psutil.pid_exists(worker.pid)
        await cluster.judge()


async def test_a_second_supervisor_is_rejected(redis_url: str, tmp_path: Path) -> None:
    async with (
        Cluster(redis_url, tmp_path) as cluster,
        SupervisorProcess(cluster, "--workers", "1") as supervisor,
    ):
        await supervisor.running(1)
        async with SupervisorProcess(cluster, "--workers", "1") as second:
            assert await second.stopped() == EXIT_FAILED
        assert f"process {supervisor.process.pid} already supervises" in supervisor.log.read_text()
        await supervisor.running(1)


async def test_commands_are_acknowledged_and_on_record(redis_url: str, tmp_path: Path) -> None:
    async with (
        Cluster(redis_url, tmp_path) as cluster,
        SupervisorProcess(cluster, "--workers", "2") as supervisor,
    ):
        first, second = await supervisor.running(2)
        control = supervisor.control
        await control.send(FleetCommandKind.DRAIN, worker=first.worker_id, reason="hot")
        await supervisor.sees(
            "one has exited", lambda view: [w.phase for w in view.state.workers] == ["exited", "running"]
        )
        with pytest.raises(CommandRejected, match="nothing to drain"):
            await control.send(FleetCommandKind.DRAIN, worker=first.worker_id)
        await control.send(FleetCommandKind.RESET, worker=first.worker_id)
        await supervisor.running(2)
        await control.send(FleetCommandKind.RESTART, worker=second.worker_id)
        await supervisor.sees(
            "the second is replaced",
            lambda view: (
                [w.phase for w in view.state.workers] == ["running"] * 2
                and view.state.workers[1].worker_id != second.worker_id
            ),
        )
        (view,) = await control.supervisors()
        await control.send(FleetCommandKind.RESTART, host=view.state.host)
        with pytest.raises(CommandRejected, match="no supervisor has a worker"):
            await control.send(FleetCommandKind.DRAIN, worker="nobody")
        with pytest.raises(CommandRejected, match="0 supervisors"):
            await control.scale(WorkerCountRange(1, 1), host="elsewhere")
        events = await cluster.redis.xrange(cluster.queue.keys.events)
        commands = [fields for _, fields in events if fields[b"kind"] == b"command"]
        assert [fields[b"act"] for fields in commands] == [
            b"drain",
            b"drain",
            b"reset",
            b"restart",
            b"restart",
        ]
        assert [fields[b"outcome"] for fields in commands].count(b"refused") == 1
        assert (commands[0][b"who"], commands[0][b"why"]) == (b"test", b"hot")


async def test_redis_outage_is_not_mistaken_for_hung_workers(redis_process, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    server: RedisProcess = redis_process()
    async with (
        Cluster(server.url, tmp_path, lease_ms=NEVER_MS) as cluster,
        SupervisorProcess(cluster, "--workers", "1") as supervisor,
    ):
        workers = await supervisor.running(1)
        server.kill()

        def noticed() -> bool:
            return "Redis is unavailable" in supervisor.log.read_text()

        await cluster.eventually(noticed, "the supervisor reports it")
        server.start()
        await cluster.submit(payload("after"))
        await cluster.until("after", JobState.COMPLETED)
        assert await supervisor.running(1) == workers
        await cluster.judge()


async def test_invalid_arguments_are_reported(redis_url: str, tmp_path: Path) -> None:
    async with Cluster(redis_url, tmp_path) as cluster:
        for arguments in (("--workers", "2", "--max", "3"), ("--min", "3", "--max", "2"), ("--min", "3")):
            async with SupervisorProcess(cluster, *arguments) as supervisor:
                assert await supervisor.stopped() == EXIT_USAGE
                assert "give either --workers, or both" in supervisor.log.read_text()
