"""Connections to a real server, and its errors as RedisUnavailable."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable

import pytest
from arq.connections import ArqRedis
from redis.asyncio import Redis
from redis.exceptions import ResponseError

from previewops.errors import RedisUnavailable
from previewops.redis_server.connection import connect, connection_pool, redis_errors
from tests.ports import free_port
from tests.redis_server import RedisProcess

pytestmark = pytest.mark.redis

MakeServer = Callable[..., RedisProcess]


async def reason_of(url: str, *command: str, timeout_s: float = 60.0) -> str:
    client = connect(url, role="test", connect_timeout_s=timeout_s, socket_timeout_s=timeout_s)
    try:
        with pytest.raises(RedisUnavailable) as caught:
            async with redis_errors(url):
                await client.execute_command(*command)
    finally:
        await client.aclose()
    assert caught.value.exit_code == 69
    return str(caught.value)


async def test_the_server_sees_who_connects(redis_url: str) -> None:
    client = connect(redis_url, role="cli")
    assert await client.client_getname() == "previewops-cli"
    await client.aclose()


async def test_replies_are_bytes(redis_url: str) -> None:
    client = connect(redis_url, role="cli")
    await client.set("key", "värde")
    assert await client.get("key") == "värde".encode()
    await client.aclose()


async def test_a_tcp_connection_works_with_keepalive(redis_process: MakeServer) -> None:
    port = free_port()
    redis_process(options=("--port", str(port), "--bind", "127.0.0.1"))
    client = connect(f"redis://127.0.0.1:{port}/3", role="cli")
    assert await client.ping() is True
    connection = await client.connection_pool.get_connection()
    assert connection.db == 3
    peer = connection._writer.get_extra_info("socket")
    assert peer.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
    await client.connection_pool.release(connection)
    await client.aclose()


async def test_a_pool_serves_another_client_class(redis_url: str) -> None:
    pool = connection_pool(redis_url, role="worker", max_connections=3)
    client = ArqRedis(pool_or_conn=pool)
    assert await client.client_getname() == "previewops-worker"
    await client.aclose(close_connection_pool=True)


async def test_closing_the_client_closes_its_connections(redis_url: str) -> None:
    client = connect(redis_url, role="gone")
    await client.ping()
    await client.aclose()
    watcher = Redis.from_url(redis_url)
    assert b"name=previewops-gone" not in await watcher.execute_command("CLIENT LIST", NEVER_DECODE=True)
    await watcher.aclose()


async def test_nobody_listens() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"redis://:s3cret@127.0.0.1:{free.getsockname()[1]}"
    text = await reason_of(url, "PING")
    assert "connection refused" in text
    assert "s3cret" not in text


async def test_no_such_socket() -> None:
    assert "the socket does not exist" in await reason_of("unix:///nonexistent/redis.sock", "PING")


async def test_no_such_host() -> None:
    assert "unknown host name" in await reason_of("redis://no-such-host.invalid", "PING")


async def test_password_is_required(redis_process: MakeServer) -> None:
    server = redis_process(start=False, options=("--requirepass", "s3cret"))
    server.start(reply=b"-NOAUTH")
    assert "requires a user name and password" in await reason_of(server.url, "PING")
    text = await reason_of(f"{server.url}?password=wr0ng", "PING")
    assert "rejects those in the address" in text
    assert "wr0ng" not in text


async def test_memory_is_full(redis_process: MakeServer) -> None:
    server = redis_process(persistent=False, options=("--maxmemory", "1mb"))
    assert "out of memory" in await reason_of(server.url, "SET", "key", "x" * 2_000_000, "GET")
    client = connect(server.url, role="test")
    await client.config_set("maxmemory", "1")
    await client.aclose()
    assert "out of memory" in await reason_of(server.url, "SET", "key", "x")
    script = "return redis.call('SET', KEYS[1], ARGV[1])"
    assert "out of memory" in await reason_of(server.url, "EVAL", script, "1", "key", "x")


async def test_replica_rejects_writes(redis_process: MakeServer) -> None:
    server = redis_process(persistent=False)
    client = connect(server.url, role="test")
    await client.replicaof("127.0.0.1", 1)
    await client.aclose()
    assert "read-only replica" in await reason_of(server.url, "SET", "key", "x")


async def test_stopped_server(redis_process: MakeServer) -> None:
    server = redis_process(persistent=False)
    server.freeze()
    assert "did not reply in time" in await reason_of(server.url, "PING", timeout_s=0.2)
    server.thaw()


async def test_a_server_is_busy_with_a_script(redis_process: MakeServer) -> None:
    server = redis_process(persistent=False, options=("--lua-time-limit", "1"))
    runner = Redis.from_url(server.url)
    script = asyncio.ensure_future(runner.eval("while true do end", 0))
    client = connect(server.url, role="test")

    @redis_errors(server.url)
    async def ping() -> None:
        while not script.done():  # the script may not have started yet
            await client.ping()

    with pytest.raises(RedisUnavailable, match="busy running another client's script"):
        await ping()
    async with Redis.from_url(server.url) as other:
        await other.script_kill()
    await asyncio.gather(script, return_exceptions=True)
    await client.aclose()
    await runner.aclose()


async def test_server_that_dies_during_a_command(redis_process: MakeServer) -> None:
    server = redis_process(persistent=False)
    client = connect(server.url, role="test")
    await client.ping()
    server.kill()
    with pytest.raises(RedisUnavailable):
        async with redis_errors(server.url):
            await client.ping()
    await client.aclose()


async def test_it_decorates_a_function() -> None:
    @redis_errors("unix:///nonexistent/redis.sock")
    async def ping() -> None:
        client = connect("unix:///nonexistent/redis.sock", role="test")
        try:
            await client.ping()
        finally:
            await client.aclose()

    for _ in range(2):
        with pytest.raises(RedisUnavailable, match="the socket does not exist"):
            await ping()


async def test_programming_errors_pass_through(redis_url: str) -> None:
    client = connect(redis_url, role="test")
    await client.set("key", "text")
    with pytest.raises(ResponseError, match="wrong kind of value"):
        async with redis_errors(redis_url):
            await client.execute_command("LPUSH", "key", "x")
    await client.aclose()
