"""Random sequences of faults under load. ``make soak SECONDS=… SEED=…`` runs another sequence."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.fault.cluster import Cluster
from tests.fault.state_machine import FaultMachine, count_dead_by_cause
from tests.redis_server import RedisProcess

SECONDS = float(os.environ.get("SOAK_SECONDS") or "20")
SEED = int(os.environ.get("SOAK_SEED") or "20261123")

pytestmark = [pytest.mark.redis, pytest.mark.slow, pytest.mark.timeout(SECONDS + 480)]


async def test_random_faults_under_load_lose_and_double_nothing(redis_process, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    server: RedisProcess = redis_process(options=("--appendfsync", "always"))
    async with Cluster(server.url, tmp_path, max_crashes=5, max_attempts=3, drain_timeout_s=2) as cluster:
        machine = FaultMachine(cluster, server, SEED)
        try:
            await machine.run(SECONDS)
        finally:
            print(f"soak: SEED={SEED} SECONDS={SECONDS:g} {dict(machine.done)}")
        causes = await count_dead_by_cause(cluster)
        snapshot = await cluster.judge()
        print(f"soak: {len(cluster.accepted)} jobs, {dict(snapshot.counters)}, dead by cause {dict(causes)}")
        assert snapshot.counters["completed"] > 0
        assert snapshot.counters["crashed"] > 0, "no fault hit a job"
        assert not list((cluster.settings.data_dir / "previews").rglob("*.tmp"))
