"""Two servers behind one name: a symbolic link to the socket of the primary, which a fail-over moves."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from redis.asyncio import Redis

from tests.integration.worker_support import PATIENCE_S, poll_until
from tests.ports import free_port
from tests.redis_server import RedisProcess


class ServerPair:
    """A primary and its replica. ``url`` leads to the primary."""

    def __init__(self, folder: Path, binary: Path | None) -> None:
        self._servers = [tcp_server(binary) for _ in range(2)]
        self._name = folder / "redis.sock"
        self.url = f"unix://{self._name}"

    async def start(self) -> None:
        for server, _ in self._servers:
            server.start()
        self._point_to(self.primary)
        await replicate(self._servers[1][0], self._servers[0][1])

    def remove(self) -> None:
        for server, _ in self._servers:
            server.remove()

    @property
    def primary(self) -> RedisProcess:
        return self._servers[0][0]

    async def fail_over(self) -> None:
        """Promotes the replica, moves the name to it, and makes the old primary its replica. Both live on."""
        (old, _), (new, port) = self._servers
        async with Redis.from_url(old.url) as client:
            await client.execute_command("SET", "written-before-fail-over", "1")
            await wait_until_replicated(client)
        async with Redis.from_url(new.url) as client:
            await client.execute_command("REPLICAOF", "NO", "ONE")
        self._point_to(new)
        self._servers.reverse()
        await replicate(old, port)

    @property
    def old_primary(self) -> RedisProcess:
        return self._servers[1][0]

    def _point_to(self, server: RedisProcess) -> None:
        link = self._name.with_suffix(".new")
        link.symlink_to(server.socket)
        link.replace(self._name)


async def connections(server: RedisProcess) -> list[str]:
    """Returns the names of the clients of a server, without the link of its replica."""
    async with Redis.from_url(server.url) as client:
        clients = await client.client_list()
    return [entry["name"] for entry in clients if entry["name"].startswith("previewops-")]


async def commands(server: RedisProcess) -> list[str]:
    """Returns the last command of each client of a server."""
    async with Redis.from_url(server.url) as client:
        return [entry["cmd"] for entry in await client.client_list()]


async def replicate(server: RedisProcess, port: int) -> None:
    """Makes ``server`` a replica of the one at ``port``, and waits until it is."""
    async with Redis.from_url(server.url) as client:
        await client.execute_command("REPLICAOF", "127.0.0.1", port)

        async def is_up() -> bool:
            return bool((await client.info("replication"))["master_link_status"] == "up")

        await poll_until(is_up)


async def wait_until_replicated(primary: Redis) -> None:
    """Waits until the replica has every write that came before on this connection."""
    assert await primary.execute_command("WAIT", 1, int(PATIENCE_S * 1000)) == 1


def tcp_server(binary: Path | None) -> tuple[RedisProcess, int]:
    """Returns a server that has not started, and the TCP port that it will listen on."""
    port = free_port()
    options = ("--port", str(port), "--bind", "127.0.0.1", "--repl-diskless-sync-delay", "0")
    return RedisProcess(persistent=False, options=options, binary=binary), port


@asynccontextmanager
async def server_pair(folder: Path, binary: Path | None = None) -> AsyncIterator[ServerPair]:
    """Starts two servers, the second a replica of the first."""
    pair = ServerPair(folder, binary)
    try:
        await pair.start()
        yield pair
    finally:
        pair.remove()
