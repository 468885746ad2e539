"""Context of every command: settings with options applied, access to Redis."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

from previewops.errors import ForeignKey, RedisUnavailable, UsageError

if TYPE_CHECKING:
    from redis.asyncio import Redis

    from previewops.contract import AssetPolicy
    from previewops.queue import Queue
    from previewops.settings import Settings
    from previewops.snapshot.model import Snapshot

T = TypeVar("T")


@dataclass
class Context:
    """Global options. ``env_overrides`` holds environment variables that options replace."""

    redis_option: str | None = None
    env_overrides: dict[str, str] = field(default_factory=dict)
    verbose: bool = False
    as_json: bool = False

    @cached_property
    def settings(self) -> Settings:
        """Settings from the environment, with options applied.

        Raises:
            UsageError: invalid environment variable.
        """
        from previewops.settings import Settings

        return Settings.from_env({**os.environ, **self.env_overrides})

    @cached_property
    def operator(self) -> str:
        """Name under which commands of this process are recorded."""
        from previewops.cli.acting_operator import acting_operator

        return acting_operator()

    def asset_policy(self) -> AssetPolicy:
        """Asset roots and hosts that payloads may name; the current folder is a root where none is set."""
        from previewops.contract import AssetPolicy
        from previewops.theme_names import themes_on_this_host

        roots = self.settings.effective_asset_roots(Path.cwd())
        return AssetPolicy(
            roots,
            self.settings.asset_hosts,
            self.settings.data_dir,
            buckets=self.settings.effective_asset_buckets,
            webhook_hosts=self.settings.webhook_hosts or None,
            themes=themes_on_this_host(self.settings.themes),
        )

    def redis_url(self) -> str:
        """Address of Redis, from the first that is set: option, variable, private server, default.

        Raises:
            UsageError: invalid address or environment variable.
        """
        from previewops.redis_server.connection import resolve_redis_url

        return resolve_redis_url(self.settings, option=self.redis_option)

    def uses_default_address(self) -> bool:
        """Whether nothing sets the address of Redis and no private server runs, so that the default is used."""
        from previewops.settings import DEFAULT_REDIS_URL

        is_set = self.redis_option is not None or self.settings.redis_url is not None
        return not is_set and self.redis_url() == DEFAULT_REDIS_URL

    def call(self, function: Callable[[Queue], Awaitable[T]]) -> T:
        """Runs ``function`` on the queue in an event loop of its own."""
        import asyncio

        from previewops.queue import Queue

        async def run() -> T:
            async with open_redis(self.redis_url(), role="cli") as redis:
                return await function(Queue(redis, self.settings))

        return asyncio.run(run())

    def change(self, function: Callable[[Queue], Awaitable[T]]) -> T:
        """Runs ``function``, which changes the queue, like ``call``. At the default address the queue must exist.

        Raises:
            UsageError: nothing sets the address of Redis, and the server at the default one has no such queue.
        """

        async def run(queue: Queue) -> T:
            if self.uses_default_address():
                await require_queue(queue)
            return await function(queue)

        return self.call(run)

    def missing_default_queue(self) -> str:
        """Returns why the queue must not be changed: the server at the default address lacks it; or ""."""
        try:
            if self.uses_default_address():
                self.call(require_queue)
        except UsageError as error:
            return error.message
        except RedisUnavailable:
            pass  # the caller reports it, and retries
        return ""

    def call_with_time(self, function: Callable[[Queue], Awaitable[T]]) -> tuple[T, int]:
        """Runs ``function`` like ``call``. Returns its result and the server's time in ms."""

        return self.call(lambda queue: with_time(queue, function(queue)))

    def snapshot(self, *, history_s: int = 0) -> Snapshot:
        """Reads a snapshot of the queue."""
        from previewops.snapshot.reader import SnapshotReader

        return self.call(lambda queue: SnapshotReader(queue.redis, self.settings).read(history_s=history_s))


async def require_queue(queue: Queue, *, create_hint: str = "") -> None:
    """Checks that the server at the default address holds the queue: it may be another program's server.

    Raises:
        UsageError: it does not.
    """
    if not await queue.redis.exists(queue.keys.meta):
        raise UsageError(
            f"found no {name_default_queue(queue)}, allowed an existing one",
            hint=f"start `previewops up` in this DATA_DIR, or set REDIS_URL{create_hint}",
        )


def name_default_queue(queue: Queue) -> str:
    """Returns the queue and the default address for a message."""
    from previewops.disclosure import redact_url
    from previewops.settings import DEFAULT_REDIS_URL

    return f"queue {queue.settings.queue_name} at {redact_url(DEFAULT_REDIS_URL)}, the default address"


@asynccontextmanager
async def open_redis(url: str, *, role: str) -> AsyncIterator[Redis]:
    """Opens a Redis client and closes it at the end. Redis failures are raised as ``RedisUnavailable``."""
    from previewops.redis_server.connection import connect, redis_errors

    client = connect(url, role=role)
    try:
        async with redis_errors(url):
            yield client
    finally:
        await client.aclose()


async def reject_newer_layout(url: str, settings: Settings) -> None:
    """Fails at once if a newer build wrote the queue's data. Other problems of Redis may pass while a process runs.

    Raises:
        LayoutUnsupported: the data has a newer layout.
    """
    from previewops.queue.start_check import check_queue

    with suppress(RedisUnavailable, ForeignKey):
        async with open_redis(url, role="check") as redis:
            await check_queue(redis, settings)


async def with_time(queue: Queue, result: Awaitable[T]) -> tuple[T, int]:
    """Awaits ``result``, and returns it with the server's time in ms."""
    return await result, await server_now_ms(queue.redis)


async def server_now_ms(redis: Redis) -> int:
    """Returns the Redis server's time in ms since the epoch, the clock of all recorded times."""
    seconds, microseconds = await redis.time()
    return int(seconds) * 1000 + int(microseconds) // 1000


pass_context = click.make_pass_decorator(Context)
