"""Processor time that a job without work takes in Redis, by slots of the worker: how many jobs one primary feeds.

A worker with few slots finishes and claims one job per call; with many, jobs that end together share a call.

    python -m benchmarks.primary [--jobs N]
"""

from __future__ import annotations

import argparse
import asyncio
import os
import platform
import tempfile
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from redis.asyncio import Redis

from benchmarks.queue import private_redis
from previewops.queue.queue import Queue
from previewops.redis_server.connection import connect
from previewops.settings import Settings
from previewops.snapshot.reader import SnapshotReader
from tests.integration.worker_support import make_worker, running_worker
from tests.queue_support import payload

SLOTS = (2, 10, 50)
BATCH = 500
LOOK_EVERY_S = 0.3


async def render_preview(_ctx: dict[str, Any], _body: dict[str, Any]) -> None:
    """A job without work."""


async def processor_ms(client: Redis) -> float:
    """Processor time that Redis has used, in ms."""
    used = await client.info("cpu")
    return float(used["used_cpu_user"] + used["used_cpu_sys"]) * 1000


async def measure(url: str, settings: Settings, jobs: int) -> tuple[float, float]:
    """Processor ms a job of the submits, and of claims and ends."""
    client = connect(url, role="bench")
    await client.flushall()
    queue, snapshots = Queue(client, settings), SnapshotReader(client, settings)
    began = await processor_ms(client)
    for first in range(0, jobs, BATCH):
        await queue.submit_many([payload(f"job-{first + number}") for number in range(BATCH)])
    submitted = await processor_ms(client)
    async with running_worker(make_worker(url, settings, render_preview)):
        while (await snapshots.read()).counters["completed"] < jobs:  # noqa: ASYNC110 - no signal
            await asyncio.sleep(LOOK_EVERY_S)
        completed = await processor_ms(client)
    await client.aclose()
    return (submitted - began) / jobs, (completed - submitted) / jobs


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--jobs", type=int, default=4_000)
    jobs = parser.parse_args().jobs
    lines = []
    with private_redis() as socket, tempfile.TemporaryDirectory() as folder:
        url = f"unix://{socket}"
        settings = replace(Settings(), redis_url=url, data_dir=Path(folder), queue_max=jobs + BATCH)
        for slots in SLOTS:
            parts = asyncio.run(measure(url, replace(settings, worker_concurrency=slots), jobs))
            lines.append(f"{slots:>6}{parts[0]:>12.3f}{parts[1]:>18.3f}{sum(parts):>12.3f}")
    when, load = f"{datetime.now(tz=UTC):%Y-%m-%d}", os.getloadavg()[0]
    print(f"{when}, {os.cpu_count()} processors, Python {platform.python_version()}, load {load:.1f}")
    print(f"{jobs} jobs, processor ms of Redis a job")
    print(f"{'slots':>6}{'submit':>12}{'claim and end':>18}{'together':>12}")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
