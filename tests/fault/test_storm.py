"""Two thousand jobs over four workers, one of which is killed every second: nothing is lost, nothing is doubled."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

import pytest

from tests.fault.cluster import Cluster, payload

pytestmark = [pytest.mark.redis, pytest.mark.slow]

JOBS = 2_000
WORKERS = 4
KILL_EVERY_S = 1.0
SEED = 20261123


@pytest.mark.timeout(600)
async def test_two_thousand_jobs_with_a_worker_killed_every_second(redis_url: str, tmp_path: Path) -> None:
    dice = random.Random(SEED)
    async with Cluster(redis_url, tmp_path, max_crashes=100) as cluster:
        await cluster.start_workers(WORKERS)
        await cluster.submit(*(payload(f"job-{n:04}") for n in range(JOBS)))
        kills = 0
        while (await cluster.snapshot()).pending:
            # The storm's own rhythm, not a wait for anything.
            await asyncio.sleep(KILL_EVERY_S)
            victim = dice.choice([worker for worker in cluster.workers if worker.process.poll() is None])
            victim.kill()
            kills += 1
            cluster.start_worker()
        snapshot = await cluster.judge()
        assert snapshot.counters["completed"] == JOBS
        assert snapshot.dead == 0
        assert snapshot.counters["crashed"] > 0, "no kill hit a job: the test proved nothing"
        leftover = list((cluster.settings.data_dir / "previews").rglob("*.tmp"))
        assert not leftover
        print(f"{kills} kills, {snapshot.counters['crashed']} crashes of jobs")
