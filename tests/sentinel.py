"""A primary and its replica under a Sentinel, which moves the role of the primary."""

from __future__ import annotations

import shlex
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from redis.asyncio import Redis

from tests.failover import replicate, tcp_server, wait_until_replicated
from tests.integration.worker_support import poll_until
from tests.ports import free_port
from tests.redis_server import RedisProcess

SERVICE = "previews"
USER, PASSWORD = "previewops", "of-the-sentinel"
DOWN_AFTER_MS = 1000


class SentinelSet:
    """Two servers and a Sentinel. ``url`` names a port without a Sentinel first, then the Sentinel.

    ``binary`` is their program; None is the one of this machine.
    """

    def __init__(self, folder: Path, binary: Path | None) -> None:
        servers = [tcp_server(binary) for _ in range(2)]
        self._servers = {port: server for server, port in servers}
        self._first, self._second = self._servers
        self.port = free_port()
        self._sentinel = _sentinel(folder, self.port, self._first, binary)
        self.url = f"redis+sentinel://127.0.0.1:{free_port()},127.0.0.1:{self.port}/{SERVICE}"
        self.url += f"?sentinel_username={USER}&sentinel_password={PASSWORD}"

    async def start(self) -> None:
        for server in self._servers.values():
            server.start()
        await replicate(self._servers[self._second], self._first)
        self._sentinel.start()
        await poll_until(self._knows_replica)

    def remove(self) -> None:
        for server in (*self._servers.values(), self._sentinel):
            server.remove()

    async def hand_over(self) -> None:
        """Lets the Sentinel promote the replica without a loss: writes are paused until both servers are equal."""
        old = await self._primary()
        async with Redis.from_url(self._servers[old].url) as client:
            await client.execute_command("CLIENT", "PAUSE", 60_000, "WRITE")
            await _wait_until_equal(client)
            new = await self._promote(old)
            # The Sentinel does the same, after eight seconds.
            await replicate(self._servers[old], new)
            await client.execute_command("CLIENT", "UNPAUSE")

    async def hand_over_coordinated(self) -> None:
        """Lets the primary hand over by itself, as Valkey 9.0 and newer can."""
        await self._promote(await self._primary(), "COORDINATED")

    async def promote(self) -> RedisProcess:
        """Lets the Sentinel promote the replica, and returns the old primary, which it cannot demote."""
        old = await self._primary()
        async with Redis.from_url(self._servers[old].url) as client:
            await _wait_until_equal(client)
            await client.execute_command("ACL", "SETUSER", "default", "-replicaof", "-slaveof")
        await self._promote(old)
        return self._servers[old]

    async def primary(self) -> RedisProcess:
        """The server that the Sentinel names."""
        return self._servers[await self._primary()]

    async def kill_primary(self) -> None:
        """Ends the primary by SIGKILL and waits until the Sentinel names another server."""
        old = await self._primary()
        async with Redis.from_url(self._servers[old].url) as client:
            await client.execute_command("SET", "written-before-kill", "1")
            await wait_until_replicated(client)
        self._servers[old].kill()
        await self._wait_for_another_primary(old)

    async def _promote(self, old: int, *options: str) -> int:
        async with Redis(port=self.port, username=USER, password=PASSWORD) as sentinel:
            await sentinel.execute_command("SENTINEL", "FAILOVER", SERVICE, *options)
        return await self._wait_for_another_primary(old)

    async def _primary(self) -> int:
        async with Redis(port=self.port, username=USER, password=PASSWORD) as sentinel:
            reply = await sentinel.execute_command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", SERVICE)
        return int(reply[1])

    async def _wait_for_another_primary(self, old: int) -> int:
        async def is_another() -> bool:
            return await self._primary() != old

        await poll_until(is_another)
        return await self._primary()

    async def _knows_replica(self) -> bool:
        async with Redis(port=self.port, username=USER, password=PASSWORD) as sentinel:
            replicas = await sentinel.execute_command("SENTINEL", "REPLICAS", SERVICE)
        fields = [dict(zip(replica[::2], replica[1::2], strict=True)) for replica in replicas]
        return any(replica[b"master-link-status"] == b"ok" for replica in fields)


async def _wait_until_equal(primary: Redis) -> None:
    async def is_equal() -> bool:
        state = await primary.info("replication")
        return bool(state["slave0"]["offset"] == state["master_repl_offset"])

    await poll_until(is_equal)


def _sentinel(folder: Path, port: int, primary: int, binary: Path | None) -> RedisProcess:
    file = folder / "sentinel.conf"
    file.write_text(
        f"sentinel monitor {SERVICE} 127.0.0.1 {primary} 1\n"
        f"sentinel down-after-milliseconds {SERVICE} {DOWN_AFTER_MS}\n"
        f"sentinel failover-timeout {SERVICE} 5000\n"
        # RedisProcess pings it without a login.
        "user default on nopass -@all +ping\n"
        f"user {USER} on >{PASSWORD} +sentinel +subscribe +ping +@connection &+switch-master &+promoted-slave\n"
    )
    as_sentinel = f'exec "$0" {shlex.quote(str(file))} --sentinel "$@"'
    options = ("--port", str(port), "--bind", "127.0.0.1")
    return RedisProcess(
        persistent=False, options=options, prefix=("/bin/sh", "-c", as_sentinel), binary=binary
    )


@asynccontextmanager
async def sentinel_set(folder: Path, binary: Path | None = None) -> AsyncIterator[SentinelSet]:
    """Starts the servers and the Sentinel."""
    servers = SentinelSet(folder, binary)
    try:
        await servers.start()
        yield servers
    finally:
        servers.remove()
