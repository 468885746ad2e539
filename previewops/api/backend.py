"""What all routes stand on: the queue, its dead letters and figures, and a bounded way to them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from starlette.responses import Response

from previewops.api.errors import Overloaded
from previewops.api.submit_batcher import SubmitBatcher
from previewops.contract import AssetPolicy
from previewops.queue.dead_letters import DeadLetters
from previewops.queue.queue import Queue
from previewops.redis_server.connection import redis_errors
from previewops.settings import Settings
from previewops.snapshot.reader import SnapshotReader

if TYPE_CHECKING:
    from redis.asyncio import Redis

REDIS_SLOTS = 32
"""Requests that use Redis at a time, and so connections to it; others wait their turn."""

LONG_REDIS_SLOTS = 4
"""Those among them that may take long."""

CONNECT_TIMEOUT_S = 1.0
SOCKET_TIMEOUT_S = 2.0
SLOT_TIMEOUT_S = 2.0
"""How long a request waits for its turn before it is told to come again."""
REPLY_TIMEOUT_S = 3.0
"""How long all that one request asks may take. The client's own timeouts are for each step, and it connects for one
caller after the other."""


class ApiBackend:
    """The queue of one API process.

    Args:
        started_in: the folder that counts as an asset root where PREVIEW_ASSET_ROOTS names none.
        turn_timeout_s: how long a request waits for its turn at Redis.
    """

    def __init__(
        self,
        redis: Redis,
        url: str,
        settings: Settings,
        *,
        working_dir: Path,
        slot_timeout_s: float = SLOT_TIMEOUT_S,
    ) -> None:
        self.redis = redis
        self.url = url
        self.settings = settings
        self.queue = Queue(redis, settings)
        self.submit_batcher = SubmitBatcher(self.queue, url)
        self.dead_letters = DeadLetters(redis, settings)
        self.snapshots = SnapshotReader(redis, settings)
        self.asset_policy = AssetPolicy(settings.effective_asset_roots(working_dir), settings.asset_hosts)
        self._turns = asyncio.Semaphore(REDIS_SLOTS)
        self._long_turns = asyncio.Semaphore(LONG_REDIS_SLOTS)
        self._turn_timeout_s = slot_timeout_s

    @asynccontextmanager
    async def redis_slot(self, *, timeout_s: float = REPLY_TIMEOUT_S) -> AsyncIterator[None]:
        """A turn at Redis, of ``timeout_s`` seconds at most.

        Raises:
            Overloaded: none came up in time.
            RedisUnavailable: Redis cannot be used.
        """
        async with self._turn(self._turns), redis_errors(self.url), asyncio.timeout(timeout_s):
            yield

    @asynccontextmanager
    async def long_redis_slot(self, timeout_s: float) -> AsyncIterator[None]:
        """A turn for what looks through the whole queue. There are few of them, so that the others get theirs.

        Raises:
            Overloaded: none came up in time.
            RedisUnavailable: Redis cannot be used.
        """
        async with self._turn(self._long_turns), self.redis_slot(timeout_s=timeout_s):
            yield

    @asynccontextmanager
    async def _turn(self, turns: asyncio.Semaphore) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(self._turn_timeout_s):
                await turns.acquire()
        except TimeoutError:
            raise Overloaded("too many requests wait for Redis", retry_after_s=2) from None
        try:
            yield
        finally:
            turns.release()


def json_response(body: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """``body`` as JSON."""
    text = json.dumps(body, ensure_ascii=False, separators=(",", ":"))
    # json.dumps lets halves of surrogate pairs through, which a stock client's job may hold.
    return Response(
        text.encode("utf-8", "replace"), status, media_type="application/json", headers=dict(headers or {})
    )
