"""Scaling of real workers with a real backlog, by load and by command: up and down without a lost job."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from previewops.snapshot.fleet import WorkerCountRange
from previewops.snapshot.model import Snapshot
from tests.fault.cluster import Cluster, payload
from tests.fault.supervisor_process import SupervisorProcess

pytestmark = [pytest.mark.redis, pytest.mark.slow]

MOST = 5
JOBS = 50


@asynccontextmanager
async def backlog(
    url: str, folder: Path, *arguments: str
) -> AsyncIterator[tuple[Cluster, SupervisorProcess, Path]]:
    """Starts one worker, and jobs that wait or are held while the file exists."""
    held = folder / "held"
    held.touch()
    async with (
        # Five workers that start on two processors are slow, but not hung.
        Cluster(url, folder, heartbeat_ms=2_000, lease_ms=20_000, drain_timeout_s=2) as cluster,
        SupervisorProcess(cluster, *arguments, SCALE_DOWN_WINDOW_S="3") as supervisor,
    ):
        await supervisor.running(1)
        await cluster.submit(*(payload(f"job-{n}", while_there=str(held)) for n in range(JOBS)))
        yield cluster, supervisor, held


async def every_slot_is_busy(cluster: Cluster) -> None:
    slots = MOST * cluster.settings.worker_concurrency

    async def busy() -> bool:
        return (await cluster.snapshot()).active == slots

    await cluster.eventually(busy, f"{slots} jobs run")


def unharmed(snapshot: Snapshot, jobs: int) -> bool:
    counters = snapshot.counters
    return (counters["completed"], counters["crashed"], counters["retried"]) == (jobs, 0, 0)


async def test_scaling_from_1_to_5_to_1_by_load_loses_nothing(redis_url: str, tmp_path: Path) -> None:
    async with backlog(redis_url, tmp_path, "--min", "1", "--max", str(MOST)) as (cluster, supervisor, held):
        await supervisor.running(MOST)
        await every_slot_is_busy(cluster)
        # Jobs for three workers are held while the others exit.
        late = tmp_path / "late"
        late.touch()
        await cluster.submit(*(payload(f"late-{n}", while_there=str(late)) for n in range(6)))
        held.unlink()
        await supervisor.running(3)
        assert (await cluster.snapshot()).counters["completed"] == JOBS
        late.unlink()
        assert unharmed(await cluster.drained(), JOBS + 6)
        await supervisor.running(1)
        await cluster.judge()


async def test_scaling_from_1_to_5_to_1_by_command_loses_nothing(redis_url: str, tmp_path: Path) -> None:
    async with backlog(redis_url, tmp_path, "--workers", "1") as (cluster, supervisor, held):
        result = await supervisor.control.scale(WorkerCountRange(MOST, MOST), reason="rush hour")
        assert result.message == f"{MOST} workers"
        await supervisor.running(MOST)
        await every_slot_is_busy(cluster)
        # Four workers drain with jobs running and a backlog waiting.
        await supervisor.control.scale(WorkerCountRange(1, 1))
        held.unlink()
        await cluster.submit(*(payload(f"late-{n}") for n in range(30)))
        assert unharmed(await cluster.drained(), JOBS + 30)
        await supervisor.running(1)
        await cluster.judge()
