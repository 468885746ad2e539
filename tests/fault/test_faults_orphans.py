"""Row 2: no process of a killed supervisor or `up` survives, not even a suspended one."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

import psutil
import pytest

from previewops.states import JobState
from tests.fault.cluster import Cluster, Gate, payload
from tests.fault.supervisor_process import SupervisorProcess, survivors, suspend
from tests.integration.cli_program import Program
from tests.integration.up_program import TIMEOUT_S, is_redis, up

pytestmark = [pytest.mark.redis]

NEVER_MS = 600_000
"""A lease that does not expire within a test, so a job that runs again was released."""
STOPPED = pytest.mark.parametrize("stopped", ["nobody", "worker", "fork server", "render process"])


@STOPPED
async def test_row_2_sigkill_of_the_supervisor_leaves_no_process_and_loses_nothing(
    redis_url: str, tmp_path: Path, stopped: str
) -> None:
    async with (
        Cluster(redis_url, tmp_path) as cluster,
        SupervisorProcess(cluster, "--workers", "2") as supervisor,
    ):
        workers = await supervisor.running(2)
        await cluster.submit(payload("spinning", spin=True))
        held = await cluster.until("spinning", JobState.ACTIVE)
        family = supervisor.family()
        assert len(family) >= 7, "the supervisor, two workers, their fork servers and render processes"
        pid = next(worker.pid for worker in workers if worker.worker_id == held.worker)
        assert pid is not None
        suspend(pid, stopped)
        supervisor.signal(signal.SIGKILL)
        assert await survivors(family) == []
        # The crash is counted when a supervisor, or a worker after the lease, requeues the job.
        record = await cluster.status("spinning")
        assert (record.attempts, record.crashes) == (0, 0)
        await cluster.queue.cancel("spinning", who="test")
        await cluster.judge()


async def test_jobs_of_an_earlier_supervisor_s_workers_run_again_at_once(
    redis_url: str, tmp_path: Path
) -> None:
    gate = Gate(tmp_path / "gate")
    async with (
        Cluster(redis_url, tmp_path, lease_ms=NEVER_MS) as cluster,
        SupervisorProcess(cluster, "--workers", "1") as first,
    ):
        (worker,) = await first.running(1)
        assert worker.pid is not None
        await cluster.submit(payload("held", gate=str(gate.path)))
        await gate.arrival()
        gate.remove()
        left = psutil.Process(worker.pid)
        first.signal(signal.SIGKILL)
        await first.stopped()
        async with SupervisorProcess(cluster, "--workers", "1") as second:
            record = await cluster.until("held", JobState.COMPLETED)
            assert (record.attempts, record.crashes) == (0, 1)
            assert await survivors([left]) == []
            assert "an orphan of an earlier supervisor" in second.read_logs()
        await cluster.judge()


@pytest.mark.parametrize("stopped", ["nobody", "worker", "fork server", "render process", "Redis"])
async def test_row_2_sigkill_of_up_leaves_no_process(tmp_path: Path, stopped: str) -> None:
    program = Program(tmp_path)
    with up(program, "--workers", "1") as process:
        family = psutil.Process(process.pid).children(recursive=True)
        worker = next(process for process in family if "--name" in process.cmdline())
        if stopped == "Redis":
            next(filter(is_redis, family)).suspend()
        else:
            suspend(worker.pid, stopped)
        process.kill()
        assert await asyncio.to_thread(process.wait, TIMEOUT_S) == -signal.SIGKILL
        assert await survivors(family) == []
