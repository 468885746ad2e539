"""Connections that end with their server's role as primary.

A server that is demoted keeps its connections and rejects writes on them for ever. So the first such reply makes
every connection of the pool stale: idle ones are closed, used ones when they are released. The next connection
resolves the server's name again, which leads to the new primary once the name has moved.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from redis.asyncio import ConnectionPool
from redis.asyncio.connection import AbstractConnection, Connection, SSLConnection, UnixDomainSocketConnection
from redis.exceptions import ResponseError

from previewops.redis_server.failures import needs_new_connection

if TYPE_CHECKING:
    _Base = AbstractConnection
else:
    _Base = object


class PrimaryGeneration:
    """Counts how often a pool has lost its primary."""

    def __init__(self) -> None:
        self.number = 0


class PrimaryConnection(_Base):
    """Mixin for connections: remembers the generation in which it connected, and reports the loss of the primary."""

    def __init__(self, *, generation: PrimaryGeneration, **options: Any) -> None:
        super().__init__(**options)
        self._generation = generation
        self._connected_in = generation.number

    @property
    def is_stale(self) -> bool:
        """Whether the pool has lost its primary since this connection was opened."""
        return self._connected_in != self._generation.number

    async def connect(self) -> None:
        """Connects if it is not connected, or is connected to a server that was the primary before."""
        if self.is_stale:
            await self.disconnect(nowait=True)
        if not self.is_connected:
            self._connected_in = self._generation.number
        await super().connect()  # type: ignore[no-untyped-call]

    async def read_response(self, *args: Any, **options: Any) -> Any:
        """Reads one reply. Raises redis-py's errors."""
        try:
            return await super().read_response(*args, **options)
        except ResponseError as error:
            if not self.is_stale and needs_new_connection(error):
                self._generation.number += 1
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

    def __init__(self, connection_class: type[AbstractConnection] = Connection, **options: Any) -> None:
        super().__init__(
            connection_class=_CLASSES[connection_class], generation=PrimaryGeneration(), **options
        )

    async def release(self, connection: AbstractConnection) -> None:
        """Takes a connection back. If it is stale, closes it and all others that are idle and stale."""
        await super().release(connection)
        if not _is_stale(connection):
            return
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
