"""Times of the guaranteed recoveries, with the default leases and heartbeats.

The times go into the report (tests/fault/report.py). They are not asserted, as machines are noisy; that every
job survives is.
"""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from previewops.settings import Settings
from previewops.states import JobState
from tests.fault.cluster import LEDGER, Cluster, Gate, payload
from tests.fault.supervisor_process import SupervisorProcess
from tests.redis_server import RedisProcess

pytestmark = [pytest.mark.redis, pytest.mark.slow]

ROUNDS = 5 if LEDGER in os.environ else 1
"""Recoveries in a row. The report has the median of five; that no job is lost is seen in one."""
DEFAULT = {"lease_ms": Settings().lease_ms, "heartbeat_ms": Settings().heartbeat_ms}


async def _held(cluster: Cluster, name: str) -> tuple[Gate, str]:
    """Starts a job that waits at a gate, which later attempts do not find. Returns the gate and the worker."""
    gate = Gate(cluster.folder / name)
    await cluster.submit(payload(name, gate=str(gate.path)))
    await gate.arrival()
    gate.remove()
    holder = (await cluster.status(name)).worker
    assert holder is not None
    return gate, holder


async def _runs_elsewhere(cluster: Cluster, job_id: str, holder: str) -> None:
    async def elsewhere() -> bool:
        record = await cluster.status(job_id)
        return record.state in (JobState.ACTIVE, JobState.COMPLETED) and record.worker != holder

    await cluster.eventually(elsewhere, f"{job_id} runs again")
    cluster.recovered()


async def test_row_1_recovery_after_sigkill_of_a_supervised_worker(redis_url: str, tmp_path: Path) -> None:
    async with (
        Cluster(redis_url, tmp_path, max_crashes=100, **DEFAULT) as cluster,
        SupervisorProcess(cluster, "--workers", "2") as supervisor,
    ):
        for n in range(ROUNDS):
            await supervisor.running(2)
            name = f"held-{n}"
            _, holder = await _held(cluster, name)
            (pid,) = [
                worker.pid for worker in (await cluster.snapshot()).workers if worker.worker_id == holder
            ]
            os.kill(pid, signal.SIGKILL)
            cluster.struck()
            await _runs_elsewhere(cluster, name, holder)
        await cluster.drained()
        await cluster.judge()


async def test_row_2_recovery_after_the_whole_host_is_gone(redis_url: str, tmp_path: Path) -> None:
    async with Cluster(redis_url, tmp_path, max_crashes=100, **DEFAULT) as cluster:
        (doomed,) = await cluster.start_workers(1)
        for n in range(min(ROUNDS, 3)):
            name = f"held-{n}"
            _, holder = await _held(cluster, name)
            (successor,) = await cluster.start_workers(1)
            doomed.kill()
            cluster.struck()
            await _runs_elsewhere(cluster, name, holder)
            doomed = successor
        await cluster.drained()
        await cluster.judge()


async def test_row_7_recovery_after_redis_is_back(redis_process, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    server: RedisProcess = redis_process(options=("--appendfsync", "always"))
    async with Cluster(server.url, tmp_path, **DEFAULT) as cluster:
        workers = await cluster.start_workers(2)
        for n in range(ROUNDS):
            server.kill()
            server.start()
            cluster.struck()
            await cluster.redis.connection_pool.disconnect()
            await cluster.submit(payload(f"job-{n}"))
            await cluster.until(f"job-{n}", JobState.COMPLETED)
            cluster.recovered()
        assert all(worker.alive for worker in workers)
        await cluster.judge()
