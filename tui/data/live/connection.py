"""The Redis connection that the data source and the executor share."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib import import_module
from typing import TYPE_CHECKING

from previewops.redis_server.connection import connect, redis_errors
from previewops.settings import Settings

if TYPE_CHECKING:
    from redis.asyncio import Redis

SOCKET_TIMEOUT_S = 3.0
"""Shorter than the poller's timeout, so that a hanging call ends before the next one starts."""

CONNECT_TIMEOUT_S = 2.0


class QueueConnection:
    """A Redis client of the queue, created on the first call. ``who`` is recorded with every command.

    The Redis library is imported in a thread: the first frame appears meanwhile.
    """

    def __init__(self, url: str, settings: Settings, *, who: str) -> None:
        self.url = url
        self.settings = settings
        self.who = who
        self._redis: Redis | None = None

    @asynccontextmanager
    async def redis(self) -> AsyncIterator[Redis]:
        """The client. Redis errors within the block are raised as ``RedisUnavailable``."""
        if self._redis is None:
            await asyncio.to_thread(import_module, "redis.asyncio")
        if self._redis is None:  # another first call may have created it during the import
            self._redis = connect(
                self.url, role="tui", connect_timeout_s=CONNECT_TIMEOUT_S, socket_timeout_s=SOCKET_TIMEOUT_S
            )
        async with redis_errors(self.url):
            yield self._redis

    async def aclose(self) -> None:
        redis, self._redis = self._redis, None
        if redis is not None:
            await redis.aclose()
