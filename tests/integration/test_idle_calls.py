"""Calls that an idle fleet makes to Redis, counted by the server per heartbeat, not per second."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from previewops.queue.leases import HeartbeatReply
from previewops.supervisor.commands import CommandChannel
from previewops.supervisor.host import HostMetrics
from previewops.supervisor.loop import POLL_INTERVAL_S
from previewops.supervisor.redis_poller import RedisPoller
from previewops.worker.engine import worker as worker_module
from previewops.worker.engine.heartbeat import IDLE_MAINTENANCE
from previewops.worker.engine.worker import PreviewWorker
from tests.integration.worker_support import PATIENCE_S, MiddleRng, make_settings, make_worker, running_worker
from tests.property.test_stored_data_fuzz import supervisor_state
from tests.queue_support import QueueFixture, queue_fixture

pytestmark = pytest.mark.redis

HEARTBEATS = 60
IDLE_WAIT_S = 0.4


async def no_job(ctx: dict[object, object]) -> None:
    raise AssertionError("no job was submitted")


async def count_calls(queue: QueueFixture) -> dict[str, int]:
    stats = await queue.redis.info("commandstats")
    return {name.removeprefix("cmdstat_"): row["calls"] for name, row in stats.items()}


class HeartbeatCounter:
    """Counts the heartbeats of workers in this process."""

    def __init__(self, *workers: PreviewWorker) -> None:
        self.count = 0
        self._news = asyncio.Event()
        for worker in workers:
            worker.leases.heartbeat = self._counting(worker.leases.heartbeat)  # type: ignore[method-assign, assignment]

    def _counting(
        self, send: Callable[..., Awaitable[HeartbeatReply]]
    ) -> Callable[..., Awaitable[HeartbeatReply]]:
        async def counted(*args: Any) -> HeartbeatReply:
            self.count += 1
            self._news.set()
            return await send(*args)

        return counted

    async def wait_for(self, count: int) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while self.count < count:
                self._news.clear()
                await self._news.wait()


async def test_idle_workers_only_send_heartbeats_and_share_maintenance(
    redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_module, "IDLE_WAIT_S", IDLE_WAIT_S)
    async with queue_fixture(redis_url) as queue:
        # Redis stores the time of a maintenance step once in a third of a lease at most.
        settings = make_settings(queue, lease_ms=300, heartbeat_ms=100)
        workers = [
            make_worker(redis_url, settings, no_job, worker_id="w1", rng=MiddleRng()),
            make_worker(redis_url, settings, no_job, worker_id="w2"),
        ]
        heartbeats = HeartbeatCounter(*workers)
        async with running_worker(workers[0]), running_worker(workers[1]):
            await heartbeats.wait_for(6)
            before, began, first = await count_calls(queue), time.monotonic(), heartbeats.count
            await heartbeats.wait_for(first + HEARTBEATS)
            after, elapsed_s, sent = (
                await count_calls(queue),
                time.monotonic() - began,
                heartbeats.count - first,
            )
        # Both share one step in IDLE_MAINTENANCE intervals: about one per four heartbeats. On a busy machine some
        # begin at the same moment; without sharing there is one per two heartbeats, and else one per heartbeat.
        assert after["evalsha"] - before["evalsha"] - sent < sent / IDLE_MAINTENANCE
        assert after["blpop"] - before.get("blpop", 0) <= 2 * (elapsed_s / IDLE_WAIT_S + 1)


async def test_a_poll_of_the_supervisor_is_one_call(redis_url: str) -> None:
    async with queue_fixture(redis_url) as queue:
        poller = RedisPoller(CommandChannel(queue.redis, queue.settings, "sup"), HostMetrics(), job_slots=1)
        await queue.worker("w1").heartbeat("{}", [])
        await poller.poll(supervisor_state(), ["w1"], 0.0)
        before = (await count_calls(queue))["evalsha"]
        result = await poller.poll(supervisor_state(), ["w1"], POLL_INTERVAL_S)
        assert (await count_calls(queue))["evalsha"] == before + 1
        assert result.workers["w1"].heartbeat_ms is not None
