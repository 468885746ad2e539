"""A primary, its replicas and their Sentinels, each pair on a host of a network."""

from __future__ import annotations

import asyncio
import shlex
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

from redis.asyncio import Redis
from redis.exceptions import RedisError

from tests.fault.hosts import PORT, Host
from tests.redis_server import RedisProcess

SERVICE = "previews"
SENTINEL_PORT = 26379
DOWN_AFTER_MS = 2000
"""A busy machine may give a server no processor for a second: that is no fail-over."""
PATIENCE_S = 120.0
"""A Sentinel that got no processor for two seconds does nothing for thirty."""
REACHABLE = ("--bind", "0.0.0.0", "--protected-mode", "no")

T = TypeVar("T")


async def poll_until(read: Callable[[], Awaitable[T]]) -> T:
    """Repeats ``read`` until it returns a value; servers send no signal to wait for."""
    async with asyncio.timeout(PATIENCE_S):
        while not (value := await read()):  # noqa: ASYNC110 - see above
            await asyncio.sleep(0.05)
        return value


class RedisHosts:
    """Three hosts or more, each with a server and a Sentinel. ``options`` are more arguments of the servers.

    Processes on hosts use ``url``. The test uses ``socket_url``: a symbolic link to the socket of the primary.
    """

    def __init__(self, hosts: Sequence[Host], folder: Path, *options: str) -> None:
        self.hosts = list(hosts)
        first = hosts[0].address
        self.servers: dict[str, RedisProcess] = {}
        self.sentinels: dict[str, RedisProcess] = {}
        for host in hosts:
            replica = () if host.address == first else ("--replicaof", f"{first} {PORT}")
            self.servers[host.address] = RedisProcess(
                options=(
                    *("--port", str(PORT), *REACHABLE, "--repl-diskless-sync-delay", "0"),
                    *options,
                    *replica,
                ),
                prefix=_own_processor(host),
            )
            self.sentinels[host.address] = _sentinel(
                folder / f"{host.namespace}.conf", host, first, len(hosts)
            )
        self._link = folder / "primary.sock"
        self.socket_url = f"unix://{self._link}"
        self.url = f"redis+sentinel://{','.join(host.address for host in hosts)}/{SERVICE}"

    async def start(self, *, hurry: bool = True) -> None:
        """Starts everything, and waits until each Sentinel knows all servers and all Sentinels.

        With ``hurry`` Sentinels find each other and demote an old primary in a second instead of ten.
        """
        for server in (*self.servers.values(), *self.sentinels.values()):
            server.start()
        others = len(self.hosts) - 1
        for host in self.hosts if hurry else ():
            async with Redis.from_url(self.sentinels[host.address].url) as sentinel:
                for period in ("info-period", "ping-period", "ask-period", "publish-period"):
                    await sentinel.execute_command("SENTINEL", "DEBUG", period, "100")
        for host in self.hosts:

            async def knows_all(host: Host = host) -> bool:
                state = await self._opinion(host)
                counts = (int(state["num-slaves"]), int(state["num-other-sentinels"]))
                return counts == (others, others)

            await poll_until(knows_all)
        await self.follow(self.hosts[0])

    def remove(self) -> None:
        for server in (*self.servers.values(), *self.sentinels.values()):
            server.remove()

    async def follow(self, host: Host) -> None:
        """Moves the test's name to the primary that the Sentinel on ``host`` names."""
        self.link(await self.primary(host))

    def link(self, host: Host) -> None:
        """Moves the test's name to the server on ``host``."""
        link = self._link.with_suffix(".new")
        link.symlink_to(self.servers[host.address].socket)
        link.replace(self._link)

    async def primary(self, host: Host) -> Host:
        """The host of the primary that the Sentinel on ``host`` names."""
        return self._host((await self._opinion(host))["ip"])

    async def named(self, host: Host) -> Host:
        """The host of the primary that the Sentinel on ``host`` names to clients.

        In a fail-over that it carries out, it names the new one a second earlier than in its own state.
        """
        async with Redis.from_url(self.sentinels[host.address].url, decode_responses=True) as sentinel:
            reply = await sentinel.execute_command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", SERVICE)
        return self._host(reply[0])

    def _host(self, address: str) -> Host:
        return next(host for host in self.hosts if host.address == address)

    async def wait_for_primary(self, *, other_than: Host, asked: Host) -> Host:
        """Waits until the Sentinel on ``asked`` names another primary that accepts writes; returns its host."""

        async def is_another() -> Host | None:
            named = await self.primary(asked)
            if named == other_than or (await self.role(named))[0] != "master":
                return None
            return named

        return await poll_until(is_another)

    async def end_fail_overs(self) -> None:
        """Lets no Sentinel start another fail-over: on a busy machine, any server may be silent for too long."""
        for sentinel in self.sentinels.values():
            async with Redis.from_url(sentinel.url, decode_responses=True) as client:
                await client.execute_command("SENTINEL", "SET", SERVICE, "down-after-milliseconds", 600_000)

    async def role(self, host: Host) -> Sequence[Any]:
        """The reply of the server on ``host`` to ROLE; with the state "down" if there is none."""
        try:
            async with Redis.from_url(self.servers[host.address].url, decode_responses=True) as client:
                reply: Sequence[Any] = await client.execute_command("ROLE")
                return reply
        except (RedisError, OSError):
            return ["down"]

    async def wait_until_replica(self, host: Host) -> None:
        """Waits until the server on ``host`` has all data of its primary."""

        async def is_connected() -> bool:
            role = await self.role(host)
            return role[0] == "slave" and role[3] == "connected"

        await poll_until(is_connected)

    async def replicated(self) -> None:
        """Waits until all replicas have every write of the primary until now."""
        async with Redis.from_url(self.socket_url) as client:
            await client.execute_command("SET", "written-before-fault", "1")
            count = len(self.hosts) - 1
            assert await client.execute_command("WAIT", count, 30_000) == count

    async def _opinion(self, host: Host) -> dict[str, str]:
        async with Redis.from_url(self.sentinels[host.address].url, decode_responses=True) as sentinel:
            fields = await sentinel.execute_command("SENTINEL", "MASTER", SERVICE)
        return dict(fields) if isinstance(fields, dict) else dict(zip(fields[::2], fields[1::2], strict=True))


def _own_processor(host: Host) -> tuple[str, ...]:
    """Prefix of a command that gets processor time before the workers, as it would on a machine of its own."""
    return (*host.prefix, str(shutil.which("nice")), "-n", "-10")


def _sentinel(file: Path, host: Host, primary: str, count: int) -> RedisProcess:
    file.write_text(
        f"sentinel monitor {SERVICE} {primary} {PORT} {count // 2 + 1}\n"
        f"sentinel down-after-milliseconds {SERVICE} {DOWN_AFTER_MS}\n"
        f"sentinel failover-timeout {SERVICE} 3000\n"
    )
    as_sentinel = f'exec "$0" {shlex.quote(str(file))} --sentinel "$@"'
    return RedisProcess(
        persistent=False,
        options=("--port", str(SENTINEL_PORT), *REACHABLE),
        prefix=(*_own_processor(host), "/bin/sh", "-c", as_sentinel),
    )


@asynccontextmanager
async def redis_hosts(
    hosts: Sequence[Host], folder: Path, *options: str, hurry: bool = True
) -> AsyncIterator[RedisHosts]:
    """Starts the servers and the Sentinels."""
    servers = RedisHosts(hosts, folder, *options)
    try:
        await servers.start(hurry=hurry)
        yield servers
    finally:
        servers.remove()
