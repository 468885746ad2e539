"""`previewops alive` beside real processes: a hung event loop makes it fail, an absent Redis does not."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from previewops.process.alive import ProcessSign, Role, alive_prefix, read_signs
from tests.fault.cluster import Cluster
from tests.fault.supervisor_process import SupervisorProcess, environment
from tests.redis_server import RedisProcess

pytestmark = pytest.mark.redis

REFRESHES = 2
"""Signs to wait for after Redis was killed: no call to it was under way when the later ones were made."""


async def probe(cluster: Cluster, *options: str) -> subprocess.CompletedProcess[str]:
    """Runs the check as an exec probe does."""
    return await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", "previewops", "alive", *options],
        env=environment(cluster.settings),
        capture_output=True,
        text=True,
        check=False,
    )


def sign_of(cluster: Cluster, role: Role) -> ProcessSign | None:
    prefix = alive_prefix(cluster.settings.data_dir, cluster.settings.queue_name)
    return next((sign for sign in read_signs(prefix) if sign.role is role), None)


async def refreshed(cluster: Cluster, role: Role, times: int) -> None:
    """Waits for further signs of a process."""
    for _ in range(times):
        before = sign_of(cluster, role)
        assert before is not None
        age_s = before.age_s

        async def is_newer() -> bool:
            nonlocal age_s
            sign = sign_of(cluster, role)
            assert sign is not None
            is_new, age_s = sign.age_s < age_s, sign.age_s
            return is_new

        await cluster.eventually(is_newer, f"another sign of the {role}")


async def fails(cluster: Cluster) -> bool:
    return (await probe(cluster, "--max-age", "1s")).returncode == 1


async def test_a_worker_is_alive_without_redis_and_not_when_it_hangs(
    redis_process: Callable[..., RedisProcess], tmp_path: Path
) -> None:
    server = redis_process(persistent=False)
    async with Cluster(server.url, tmp_path) as cluster:
        (worker,) = await cluster.start_workers(1)
        assert (await probe(cluster)).returncode == 0
        server.kill()
        await refreshed(cluster, Role.WORKER, REFRESHES)
        done = await probe(cluster)
        assert (done.returncode, done.stderr) == (0, "")
        assert f"worker {worker.pid}: alive" in done.stdout

        worker.signal(signal.SIGSTOP)
        await cluster.eventually(lambda: fails(cluster), "the check fails")
        worker.signal(signal.SIGCONT)
        await refreshed(cluster, Role.WORKER, 1)
        assert (await probe(cluster)).returncode == 0

        worker.kill()
        gone = await probe(cluster)
        assert gone.returncode == 1
        assert "no supervisor, worker or API" in gone.stderr


async def test_a_supervisor_is_alive_without_redis_and_not_when_it_hangs(
    redis_process: Callable[..., RedisProcess], tmp_path: Path
) -> None:
    server = redis_process(persistent=False)
    async with Cluster(server.url, tmp_path) as cluster, SupervisorProcess(cluster, "--workers", "1") as host:
        await host.running(1)
        server.kill()
        await refreshed(cluster, Role.SUPERVISOR, REFRESHES)
        assert (await probe(cluster)).returncode == 0

        host.signal(signal.SIGSTOP)
        await cluster.eventually(lambda: fails(cluster), "the check fails")
        host.signal(signal.SIGCONT)
