"""Fixtures that every folder of tests shares."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator

import pytest
import redis

from tests.process_guard import start_guard
from tests.redis_server import RedisProcess

start_guard()

# A shell starts what it runs in the background with SIGINT ignored, and programs under test would inherit that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def redis_server() -> Iterator[RedisProcess]:
    """The session's private server, without persistence. Tests take ``redis_url``, which empties it."""
    server = RedisProcess(persistent=False)
    try:
        server.start()
        yield server
    finally:
        server.remove()


@pytest.fixture
def redis_url(redis_server: RedisProcess) -> str:
    """The address of an empty database."""
    with redis.Redis.from_url(redis_server.url) as client:
        client.flushall()
        client.script_flush()
        client.config_resetstat()
    return redis_server.url


@pytest.fixture
def redis_process() -> Iterator[Callable[..., RedisProcess]]:
    """Makes servers of the test's own, to be killed, frozen and restarted; arguments are RedisProcess's.

    Each is returned running unless ``start=False``, and is removed at the end.
    """
    made: list[RedisProcess] = []

    def make(*, persistent: bool = True, options: tuple[str, ...] = (), start: bool = True) -> RedisProcess:
        server = RedisProcess(persistent=persistent, options=options)
        made.append(server)
        if start:
            server.start()
        return server

    yield make
    for server in made:
        server.remove()
