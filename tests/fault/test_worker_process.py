"""Memory and libraries of a worker process."""

from __future__ import annotations

from pathlib import Path

import psutil
import pytest

from tests.fault.cluster import Cluster, payload

pytestmark = pytest.mark.redis

MIB = 1024 * 1024
JOBS = 20


async def test_a_worker_without_its_render_processes_stays_small_and_holds_no_pixels(
    redis_url: str, tmp_path: Path
) -> None:
    async with Cluster(redis_url, tmp_path) as cluster:
        worker = cluster.start_worker(fork=False)  # a fork has the template's memory
        await cluster.reporting(worker)
        await cluster.submit(*(payload(f"job-{n}") for n in range(JOBS)))
        await cluster.drained()
        process = psutil.Process(worker.pid)
        assert process.memory_info().rss < 80 * MIB
        mapped = {Path(region.path).name for region in process.memory_maps()}
        assert not [name for name in mapped if name.startswith(("_imaging", "libwebp"))], "Pillow is loaded"
        (reported,) = (await cluster.snapshots.read()).workers
        assert 0 < reported.own_rss_bytes < 80 * MIB
        helpers = sum(child.memory_info().rss for child in process.children(recursive=True))
        assert reported.rss_bytes - reported.own_rss_bytes > helpers / 2, "render processes are included"
        await cluster.judge()
