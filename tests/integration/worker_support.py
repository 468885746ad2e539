"""Workers in the test's own process with small functions, and helpers to observe them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any, TypeVar

from arq.worker import Function, func
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ResponseError

from previewops.clock import Rng
from previewops.queue.keys import Keys
from previewops.queue.leases import ScriptRunner
from previewops.queue.records import JobRecord
from previewops.queue.scripts import ScriptArgument, ScriptName, Scripts
from previewops.redis_server.connection import connection_pool
from previewops.settings import Settings
from previewops.worker.engine.worker import PreviewWorker
from tests.queue_support import QUEUE, QueueFixture, wait_until_ended

T = TypeVar("T")

PATIENCE_S = 60.0
HOUR_MS = 3_600_000


class MaxRng:
    """An Rng that always returns the upper bound."""

    def uniform(self, a: float, b: float) -> float:
        return b


def make_settings(fixture: QueueFixture, **changes: Any) -> Settings:
    """Settings with short times, so that retries and heartbeats come soon."""
    values = {
        "worker_concurrency": 1,
        "backoff_base_ms": 1,
        "backoff_max_ms": 1,
        "lease_ms": 60_000,
        "heartbeat_ms": 50,
        "drain_timeout_s": 20,
        **changes,
    }
    return replace(fixture.settings, **values)


class MiddleRng:
    """An Rng that always returns the middle."""

    def uniform(self, a: float, b: float) -> float:
        return (a + b) / 2


class JobLog:
    """The jobs whose attempts have ended, in order, recorded by the ``after_job_end`` hook."""

    def __init__(self) -> None:
        self.ids: list[str] = []
        self._news = asyncio.Event()

    async def record(self, ctx: dict[Any, Any]) -> None:
        self.ids.append(ctx["job_id"])
        self._news.set()

    async def wait_for(self, count: int) -> list[str]:
        """Waits until ``count`` attempts have ended, and returns all that have."""
        async with asyncio.timeout(PATIENCE_S):
            while len(self.ids) < count:
                self._news.clear()
                await self._news.wait()
        return self.ids


def make_worker(
    url: str,
    settings: Settings,
    *functions: Function | Callable[..., Awaitable[Any]],
    worker_id: str = "w1",
    socket_timeout_s: float = 5.0,
    rng: Rng | None = None,
    **options: Any,
) -> PreviewWorker:
    """A worker with its own connection pool; the caller closes it."""
    return PreviewWorker(
        [
            function if isinstance(function, Function) else func(function, name=function.__name__)
            for function in functions
        ],  # type: ignore[arg-type, attr-defined]
        settings=settings,
        pool=connection_pool(url, role="worker", socket_timeout_s=socket_timeout_s),
        worker_id=worker_id,
        rng=rng or MaxRng(),
        **options,
    )


@asynccontextmanager
async def running_worker(worker: PreviewWorker) -> AsyncIterator[asyncio.Task[None]]:
    """Runs a worker inside the context; stops it at once at the end and closes it."""
    living = asyncio.create_task(worker.main())
    try:
        yield living
    finally:
        worker.drain()
        worker.drain()
        async with asyncio.timeout(PATIENCE_S):
            await asyncio.gather(living, return_exceptions=True)
        await worker.close()


async def run_burst(worker: PreviewWorker) -> None:
    """Runs a burst worker to its end."""
    try:
        async with asyncio.timeout(PATIENCE_S):
            await worker.main()
    finally:
        await worker.close()


async def enqueue(redis: Redis, function: str, *job_ids: str, argument: Any = None) -> None:
    """Submits jobs of any function in one call of the queue's script."""
    args: list[ScriptArgument] = [1_000_000, function, 0, 0]
    for job_id in job_ids:
        args += (job_id, "normal", "p", f"digest-{job_id}", json.dumps(argument), "")
    await Scripts(redis, Keys(QUEUE)).run(ScriptName.SUBMIT, *args)


async def wait_for_end(fixture: QueueFixture, job_id: str) -> JobRecord:
    """Waits until a job is completed, dead or cancelled."""
    async with asyncio.timeout(PATIENCE_S):
        await wait_until_ended(fixture.queue, job_id, poll_interval_s=0.2)
    return await fixture.queue.status(job_id)


async def wait_for_blocked_clients(redis: Redis, count: int) -> None:
    """Waits until ``count`` clients block in Redis, as idle workers do."""

    async def blocked() -> bool:
        return bool((await redis.info("clients"))["blocked_clients"] == count)

    await poll_until(blocked)


async def poll_until(read: Callable[[], Awaitable[T]]) -> T:
    """Repeats ``read``, one round trip each, until it returns a value; returns that."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            value = await read()
            if value:
                return value


async def wait_for_event(event: asyncio.Event) -> None:
    """Waits for an event, with a timeout."""
    async with asyncio.timeout(PATIENCE_S):
        await event.wait()


class ReplyDroppingRunner:
    """Calls scripts, and drops the first reply of each named script: the server has executed it."""

    def __init__(self, runner: ScriptRunner, *names: ScriptName) -> None:
        self._runner = runner
        self._names = list(names)

    async def run(self, name: ScriptName, *args: ScriptArgument) -> Any:
        reply = await self._runner.run(name, *args)
        if name in self._names:
            self._names.remove(name)
            raise RedisConnectionError("the connection was lost before the reply")
        return reply


class FailingRunner:
    """Calls scripts; finishes of a certain job raise an error in the script."""

    def __init__(self, runner: ScriptRunner, job_id: str) -> None:
        self._runner = runner
        self._job_id = job_id

    async def run(self, name: ScriptName, *args: ScriptArgument) -> Any:
        if name is ScriptName.FINISH and self._job_id in args:
            raise ResponseError("user_script:1: attempt to concatenate a nil value")
        return await self._runner.run(name, *args)


class CountingRunner:
    """Calls scripts and records the number of jobs in each finish."""

    def __init__(self, runner: ScriptRunner) -> None:
        self._runner = runner
        self.finishes: list[int] = []

    async def run(self, name: ScriptName, *args: ScriptArgument) -> Any:
        if name is ScriptName.FINISH:
            self.finishes.append(int(args[7]))
        return await self._runner.run(name, *args)
