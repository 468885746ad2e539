"""Two thousand jobs on four workers, one of which is killed after every forty jobs: each job completes once."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

import pytest

from tests.fault.cluster import Cluster, payload

pytestmark = [pytest.mark.redis, pytest.mark.slow]

JOBS = 2_000
WORKERS = 4
JOBS_PER_KILL = 40
"""By progress, not by time: a slow machine would kill workers faster than they can start."""
SEED = 20261123


@pytest.mark.timeout(1_200)
async def test_two_thousand_jobs_with_a_worker_killed_after_every_forty(
    redis_url: str, tmp_path: Path
) -> None:
    rng = random.Random(SEED)
    async with Cluster(redis_url, tmp_path, max_crashes=100) as cluster:
        await cluster.start_workers(WORKERS)
        await cluster.submit(*(payload(f"job-{n:04}") for n in range(JOBS)))
        kills = 0
        while (snapshot := await cluster.snapshot()).pending:
            if snapshot.counters["completed"] < (kills + 1) * JOBS_PER_KILL:
                await asyncio.sleep(0.05)
                continue
            victim = rng.choice([worker for worker in cluster.workers if worker.process.poll() is None])
            victim.kill()
            kills += 1
            cluster.start_worker()
        snapshot = await cluster.judge()
        assert snapshot.counters["completed"] == JOBS
        assert snapshot.dead == 0
        assert snapshot.counters["crashed"] > 0, "no kill hit a job"
        leftover = list((cluster.settings.data_dir / "previews").rglob("*.tmp"))
        assert not leftover
        print(f"{kills} kills, {snapshot.counters['crashed']} crashes of jobs")
