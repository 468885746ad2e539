"""Context of every command: settings with options applied, Redis client, shared options."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from redis.asyncio import Redis

    from previewops.settings import Settings

_F = TypeVar("_F", bound=Callable[..., Any])


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

    def redis_url(self) -> str:
        """Address of Redis, from the first that is set: option, variable, embedded server, default.

        Raises:
            UsageError: invalid address or environment variable.
        """
        from previewops.redis_server.connection import resolve_redis_url

        return resolve_redis_url(self.settings, option=self.redis_option)

    @asynccontextmanager
    async def redis(self) -> AsyncIterator[Redis]:
        """Opens a Redis client and closes it at the end. Redis failures are raised as ``RedisUnavailable``."""
        from previewops.redis_server.connection import connect, redis_errors

        url = self.redis_url()
        client = connect(url, role="cli")
        try:
            async with redis_errors(url):
                yield client
        finally:
            await client.aclose()


async def server_now_ms(redis: Redis) -> int:
    """Returns the Redis server's time in ms since the epoch, the clock of all recorded times."""
    seconds, microseconds = await redis.time()
    return int(seconds) * 1000 + int(microseconds) // 1000


MAX_LISTED = 10_000

pass_context = click.make_pass_decorator(Context)


def _note_json(ctx: click.Context, _param: click.Parameter, value: bool) -> bool:
    context = ctx.find_object(Context)
    if context is not None:
        context.as_json = value
    return value


def json_option(command: _F) -> _F:
    """Adds ``--json``, passed as ``as_json``. Errors are then printed as JSON too."""
    return click.option(
        "--json", "as_json", is_flag=True, is_eager=True, callback=_note_json, help="Print JSON."
    )(command)


def limit_option(command: _F) -> _F:
    """Adds ``--limit``, the maximum number of rows."""
    return click.option(
        "--limit",
        metavar="N",
        type=click.IntRange(1, MAX_LISTED),
        default=50,
        show_default=True,
        help="List at most N.",
    )(command)
