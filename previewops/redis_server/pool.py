"""Connections that end with their server's role as primary.

A server that is demoted keeps its connections and rejects writes on them for ever. So the first such reply makes
every connection of the pool stale: idle ones are closed, used ones when they are released. The next connection
resolves the server's name again, or asks the Sentinels, which leads to the new primary.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from redis.asyncio import ConnectionPool
from redis.asyncio.connection import AbstractConnection, Connection, SSLConnection, UnixDomainSocketConnection
from redis.exceptions import RedisError, ResponseError

from previewops.redis_server.failures import needs_new_connection
from previewops.redis_server.sentinel import SentinelLocator
from previewops.redis_server.sentinel_address import SentinelAddress
from previewops.tasks import cancel_and_wait

T = TypeVar("T")

if TYPE_CHECKING:
    _Base = AbstractConnection
else:
    _Base = object


class PrimaryLocator(Protocol):
    """Finds the primary for each new connection."""

    async def locate(self) -> tuple[str, int] | None:
        """Returns host and port of the primary; None for those of the address.

        Raises:
            redis.exceptions.ConnectionError: the primary cannot be found.
        """

    def doubt(self, primary: tuple[str, int]) -> None:
        """Notes that the server at ``primary`` cannot be used, or is not the primary."""

    async def close(self) -> None:
        """Closes what it keeps open. It can be used again."""


class StaticLocator:
    """Locator of an address with one host, whose name follows the primary."""

    async def locate(self) -> None:
        """Returns None: each connection resolves the name of the host."""

    def doubt(self, primary: tuple[str, int]) -> None:
        """Does nothing: the next connection resolves the name again."""

    async def close(self) -> None:
        """Does nothing: it keeps nothing open."""


class PrimaryGeneration:
    """Counts how often a pool has lost its primary, and cancels the calls that then have nothing to wait for."""

    def __init__(self) -> None:
        self.number = 0
        self.blocked_calls: set[asyncio.Task[Any]] = set()

    def end(self) -> None:
        """Notes the loss of the primary."""
        self.number += 1
        for call in self.blocked_calls:
            call.cancel()


class PrimaryConnection(_Base):
    """Mixin for connections: remembers the generation in which it connected, and reports the loss of the primary."""

    def __init__(self, *, generation: PrimaryGeneration, locator: PrimaryLocator, **options: Any) -> None:
        super().__init__(**options)
        self._generation = generation
        self._locator = locator
        self._primary: tuple[str, int] | None = None
        self._connected_in = generation.number

    @property
    def is_stale(self) -> bool:
        """Whether the pool has lost its primary since this connection was opened."""
        return self._connected_in != self._generation.number

    async def connect(self) -> None:
        """Connects if it is not connected, or is connected to a server that was the primary before."""
        if self.is_stale:
            await self.disconnect(nowait=True)
        if self.is_connected:
            return
        self._primary = await self._locator.locate()
        self._connected_in = self._generation.number
        if self._primary is not None:
            self.host, self.port = self._primary
        try:
            await super().connect()  # type: ignore[no-untyped-call]
        except (RedisError, OSError):
            self._doubt_primary()
            raise

    def _doubt_primary(self) -> None:
        if self._primary is not None:
            self._locator.doubt(self._primary)

    async def read_response(self, *args: Any, **options: Any) -> Any:
        """Reads one reply. Raises redis-py's errors."""
        try:
            return await super().read_response(*args, **options)
        except ResponseError as error:
            if not self.is_stale and needs_new_connection(error):
                self._generation.end()
                self._doubt_primary()
            raise


class TcpConnection(PrimaryConnection, Connection):
    """Connection by TCP."""


class TlsConnection(PrimaryConnection, SSLConnection):
    """Connection by TLS."""


class SocketConnection(PrimaryConnection, UnixDomainSocketConnection):
    """Connection by a unix socket."""


_CLASSES: dict[type[AbstractConnection], type[AbstractConnection]] = {
    Connection: TcpConnection,
    SSLConnection: TlsConnection,
    UnixDomainSocketConnection: SocketConnection,
}


class PrimaryPool(ConnectionPool):
    """Connection pool that closes its connections when their server is no longer the primary."""

    def __init__(
        self,
        connection_class: type[AbstractConnection] = Connection,
        sentinels: SentinelAddress | None = None,
        **options: Any,
    ) -> None:
        """``sentinels`` name the server, whose host and port in ``options`` are then not used."""
        self._generation = PrimaryGeneration()
        self._locator: PrimaryLocator = StaticLocator()
        self._waiting: set[asyncio.Future[None]] = set()
        if sentinels is not None:
            tls = {name: value for name, value in options.items() if name.startswith("ssl_")}
            kind = SSLConnection if connection_class is SSLConnection else Connection
            self._locator = SentinelLocator(sentinels, kind, tls, self._replace_connections)
        super().__init__(
            connection_class=_CLASSES[connection_class],
            generation=self._generation,
            locator=self._locator,
            **options,
        )

    async def release(self, connection: AbstractConnection) -> None:
        """Takes a connection back. If it is stale, closes it and all others that are idle and stale."""
        await super().release(connection)
        if _is_stale(connection):
            await self._close_stale()

    async def disconnect(self, inuse_connections: bool = True) -> None:
        """Closes the connections, or with False the idle ones alone."""
        if inuse_connections:
            await self._locator.close()
        await super().disconnect(inuse_connections)

    async def _replace_connections(self) -> None:
        """Closes the connections to an old primary: idle ones now, used ones when they are released."""
        self._generation.end()
        for waiting in self._waiting:
            if not waiting.done():
                waiting.set_result(None)
        await self._close_stale()

    async def wait_for_another_primary(self, timeout_s: float) -> bool:
        """Waits until the Sentinels name another primary; returns False if they have not within ``timeout_s``."""
        waiting: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.add(waiting)
        try:
            return bool((await asyncio.wait({waiting}, timeout=timeout_s))[0])
        finally:
            self._waiting.discard(waiting)

    async def wait_while_primary(self, call: Coroutine[Any, Any, T]) -> T | None:
        """Awaits a call that blocks on the server; returns None at once when that is no longer the primary.

        After a planned hand-over the old primary lives on, and nothing that the call waits for comes there.
        """
        task = asyncio.create_task(call)
        self._generation.blocked_calls.add(task)
        try:
            await asyncio.wait([task])
        finally:
            self._generation.blocked_calls.discard(task)
            await cancel_and_wait([task])
        return None if task.cancelled() else task.result()

    async def _close_stale(self) -> None:
        stale = [idle for idle in self._available_connections if _is_stale(idle)]
        # Removed first: no other task may take one while it is being closed.
        self._available_connections = [idle for idle in self._available_connections if not _is_stale(idle)]
        for idle in stale:
            await idle.disconnect(nowait=True)

    def make_connection(self) -> PrimaryConnection:
        """Creates a connection that is neither connected nor in the pool."""
        connection: PrimaryConnection = super().make_connection()  # type: ignore[no-untyped-call]
        return connection


def _is_stale(connection: AbstractConnection) -> bool:
    return isinstance(connection, PrimaryConnection) and connection.is_stale
