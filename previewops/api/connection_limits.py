"""Which connections are served when they are many: bounds per client, room for probes, idle ones give way. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import Enum
from typing import Generic, TypeVar

from previewops.api.client_address import client_key
from previewops.api.errors import Overloaded

C = TypeVar("C")

RESERVED_CONNECTIONS = 1_000
"""Connections over the maximum that are still accepted: probes are answered, other requests get 503."""


class Admission(Enum):
    """How a new connection is served."""

    FULL = "full"
    PROBES = "probes"  # the maximum is reached
    PROBES_OF_CLIENT = "probes of client"  # the client's share is used up
    REJECTED = "rejected"


class ConnectionLimits(Generic[C]):
    """Open connections of a process.

    A connection is unused until its first request is complete, and idle while none of its requests is answered. When
    a limit is reached, an unused or else an idle connection is closed for the new one: the oldest of the client that
    has the most of them. An address that is shared by several clients has no limit of its own.

    Args:
        max_connections: connections that are fully served.
        per_client: connections of one client.
        is_shared: whether several clients connect from an address.
    """

    def __init__(self, max_connections: int, per_client: int, is_shared: Callable[[str], bool]) -> None:
        self._max_connections = max_connections
        self._is_shared = is_shared
        self.per_client = per_client
        self._clients: dict[C, str] = {}
        self._counts: Counter[str] = Counter()
        self._unused: _ByClient[C] = _ByClient()
        self._idle: _ByClient[C] = _ByClient()

    def __len__(self) -> int:
        """Number of open connections."""
        return len(self._clients)

    def open(self, connection: C, address: str) -> tuple[Admission, C | None]:
        """Adds a new connection. Returns how it is served, and the connection to close for it."""
        client = client_key(address)
        admission, victim = Admission.FULL, None
        if not self._is_shared(address) and self._counts[client] >= self.per_client:
            admission = Admission.PROBES_OF_CLIENT
            victim = self._unused.oldest_of(client) or self._idle.oldest_of(client)
        elif len(self) >= self._max_connections:
            admission = Admission.PROBES
            victim = self._unused.oldest() or self._idle.oldest()
        if victim is not None:
            self.close(victim)
            admission = Admission.FULL
        elif len(self) >= self._max_connections + RESERVED_CONNECTIONS:
            return Admission.REJECTED, None
        self._clients[connection] = client
        self._counts[client] += 1
        self._unused.add(client, connection)
        return admission, victim

    def set_busy(self, connection: C) -> None:
        """Notes that a request of the connection is being answered."""
        if (client := self._clients.get(connection)) is not None:
            self._unused.discard(client, connection)
            self._idle.discard(client, connection)

    def set_idle(self, connection: C) -> None:
        """Notes that every request of the connection has been answered."""
        if (client := self._clients.get(connection)) is not None:
            self._idle.add(client, connection)

    def close(self, connection: C) -> None:
        """Removes a connection; nothing happens if it was removed before."""
        self.set_busy(connection)
        client = self._clients.pop(connection, None)
        if client is not None:
            self._counts[client] -= 1
            if not self._counts[client]:
                del self._counts[client]


class BusyConnections:
    """Connections on which a request of a named token is being answered; each token may have ``per_token`` of them.

    A token is known with a request, not with a connection, and a proxy sends requests of several tokens over one.
    Idle connections give way to new ones anyway.
    """

    def __init__(self, per_token: int) -> None:
        self._per_token = per_token
        self._counts: Counter[str] = Counter()

    @contextmanager
    def hold(self, token: str | None) -> Iterator[None]:
        """Counts a request of a token until it is answered. None is not counted.

        Raises:
            Overloaded: the token has as many as it may.
        """
        if token is None:
            yield
            return
        if self._counts[token] >= self._per_token:
            raise Overloaded(
                f"connections of token {token}: found {self._per_token} in use, allowed as many",
                hint="raise PREVIEW_API_CLIENT_SHARE, or send fewer requests at once",
                retry_after_s=2,
                headers=(("Connection", "close"),),
            )
        self._counts[token] += 1
        try:
            yield
        finally:
            self._counts[token] -= 1
            if not self._counts[token]:
                del self._counts[token]


class _ByClient(Generic[C]):
    """Connections of each client, the oldest first."""

    def __init__(self) -> None:
        self._connections: dict[str, dict[C, None]] = {}

    def add(self, client: str, connection: C) -> None:
        self._connections.setdefault(client, {})[connection] = None

    def discard(self, client: str, connection: C) -> None:
        own = self._connections.get(client, {})
        own.pop(connection, None)
        if not own:
            self._connections.pop(client, None)

    def oldest_of(self, client: str) -> C | None:
        return next(iter(self._connections.get(client, ())), None)

    def oldest(self) -> C | None:
        """Returns the oldest connection of the client that has the most."""
        own = max(self._connections.values(), key=len, default={})
        return next(iter(own), None)
