"""Keeps the private Redis server of ``up`` running: restarts it, or takes it over when its process ends."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress

from previewops.backoff import Backoff
from previewops.cli.context import open_redis
from previewops.errors import PreviewopsError
from previewops.queue.queue import Queue
from previewops.redis_server.connection import redis_errors
from previewops.redis_server.embedded import EmbeddedRedis
from previewops.settings import Settings

START_BACKOFF_S = Backoff(0.2, 5.0)


class RedisKeeper:
    """Keeper of one server. ``report`` prints a line for the user."""

    def __init__(self, server: EmbeddedRedis, settings: Settings, report: Callable[[str], None]) -> None:
        self._server = server
        self._settings = settings
        self._report = report
        self.failure: PreviewopsError | None = None
        """Why the server does not run, while it does not."""

    async def run(self) -> None:
        """Restarts the server for ever."""
        while True:
            if self._server.owned:
                what = f"exited with status {await self._server.wait()}"
            else:
                await self._server.wait_until_free()
                what = "ended with the process that ran it"
            self._report(f"Redis {what}; restarting it")
            await self._start()
            with suppress(PreviewopsError, OSError):
                await self._record_restart(f"Redis {what} and was restarted")

    async def _start(self) -> None:
        """Starts the server, or joins another process that was faster. Tries until that succeeds."""
        failures = 0
        while True:
            try:
                await self._server.start()
            except Exception as error:
                failure = error if isinstance(error, PreviewopsError) else _unexpected(error)
                if self.failure is None or failure.message != self.failure.message:
                    self._report(f"{failure.message}; trying again until it starts")
                self.failure = failure
            else:
                if self.failure is not None:
                    self._report("Redis runs again")
                self.failure = None
                return
            failures += 1
            await asyncio.sleep(START_BACKOFF_S.longest(failures))

    async def _record_restart(self, message: str) -> None:
        """Records the restart as a queue event, for operators who did not see the printed line."""
        url = self._server.url
        async with redis_errors(url), open_redis(url, role="up") as redis:
            await Queue(redis, self._settings).record_event("redis-restarted", message=message)


def _unexpected(error: Exception) -> PreviewopsError:
    return PreviewopsError(f"Redis cannot be started: {type(error).__name__}: {error}")
