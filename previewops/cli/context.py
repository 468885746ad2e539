"""What every command is given: the settings as the options leave them, and a client of Redis."""

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
    """The options of the whole program. ``overlay`` holds environment variables that options replace."""

    redis_option: str | None = None
    env_overrides: dict[str, str] = field(default_factory=dict)
    verbose: bool = False
    as_json: bool = False

    @cached_property
    def settings(self) -> Settings:
        """The settings of the environment with the options laid over them.

        Raises:
            UsageError: a variable is off.
        """
        from previewops.settings import Settings

        return Settings.from_env({**os.environ, **self.env_overrides})

    def redis_url(self) -> str:
        """The address of Redis: option, variable, embedded server, default.

        Raises:
            UsageError: it is no address, or a variable is off.
        """
        from previewops.redis_server.connection import resolve_redis_url

        return resolve_redis_url(self.settings, option=self.redis_option)

    @asynccontextmanager
    async def redis(self) -> AsyncIterator[Redis]:
        """A client that is closed in the end; failures of Redis come out as ``RedisUnavailable``."""
        from previewops.redis_server.connection import connect, redis_errors

        url = self.redis_url()
        client = connect(url, role="cli")
        try:
            async with redis_errors(url):
                yield client
        finally:
            await client.aclose()


async def server_now_ms(redis: Redis) -> int:
    """The Redis server's time in ms since the epoch: the clock that all times on record are of."""
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
    """``--json``: given to the command as ``as_json``, and heeded when an error is told."""
    return click.option(
        "--json", "as_json", is_flag=True, is_eager=True, callback=_note_json, help="Print JSON for programs."
    )(command)


def limit_option(command: _F) -> _F:
    """``--limit``: how much a list shows."""
    return click.option(
        "--limit",
        metavar="N",
        type=click.IntRange(1, MAX_LISTED),
        default=50,
        show_default=True,
        help="List at most N.",
    )(command)
