"""The worker's own connections for its scripts."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from previewops.queue.scripts import ScriptName, Scripts
from previewops.redis_server.pool import PrimaryConnection, PrimaryPool
from previewops.worker.engine.fast_scripts import FastScriptRunner
from tests.queue_support import queue_fixture

pytestmark = pytest.mark.redis


class HeldRunner(FastScriptRunner):
    """A runner whose calls wait, after the server's reply, until ``release`` is set."""

    def __init__(self, pool: PrimaryPool, scripts: Scripts) -> None:
        super().__init__(pool, scripts)
        self.connections: list[PrimaryConnection] = []
        self.replied, self.release = asyncio.Event(), asyncio.Event()

    async def _evaluate(self, connection: PrimaryConnection, *call: Any) -> Any:
        reply = await super()._evaluate(connection, *call)
        self.connections.append(connection)
        self.replied.set()
        await self.release.wait()
        return reply


async def test_a_call_that_outlives_the_runner_closes_its_connection(redis_url: str) -> None:
    async with queue_fixture(redis_url) as queue:
        pool = queue.redis.connection_pool
        assert isinstance(pool, PrimaryPool)
        runner = HeldRunner(pool, queue.worker().scripts)
        call = asyncio.create_task(runner.run(ScriptName.PAUSE, "ops", "a test"))
        await runner.replied.wait()
        await runner.close()
        runner.release.set()
        await call
        (connection,) = runner.connections
        assert not connection.is_connected
