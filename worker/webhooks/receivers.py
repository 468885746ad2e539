"""Connections to the receivers of webhooks: kept for some seconds, each at an address that was checked."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from previewops.worker.webhooks.http_connection import ConnectionFailed, Endpoint, HttpConnection

RESOLVED_S = 5.0
"""Time in s for which the addresses of a name are used. Then it is resolved, and they are checked, again."""

IDLE_S = 4.0
"""Time in s for which a connection is kept without a message: less than most servers keep it."""

MAX_KEPT = 64
"""Connections that are kept for all receivers together. Clients choose the receivers, and how these respond; each
connection is an open file of the worker."""

ReceiverKey: TypeAlias = tuple[str, str, int]
"""Scheme, host and port."""

Resolve: TypeAlias = Callable[[], Awaitable[Sequence[Endpoint]]]
"""Returns the checked addresses of a receiver."""


@dataclass(slots=True)
class _Receiver:
    """Addresses and connections of one receiver: a connection never serves another name at the same address."""

    endpoints: Sequence[Endpoint] = ()
    error: Exception | None = None
    resolved_at: float = float("-inf")
    kept: list[HttpConnection] = field(default_factory=list)
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def resolve(self, resolve: Resolve) -> None:
        """Resolves and checks the addresses again."""
        try:
            self.endpoints, self.error = await resolve(), None
        except Exception as error:
            self.endpoints, self.error = (), error

    def take_idle(self) -> HttpConnection | None:
        """Takes an idle connection to an address that is still one of the receiver's."""
        self.kept = [connection for connection in self.kept if connection.is_open]
        for connection in reversed(self.kept):
            if connection.is_idle and connection.endpoint in self.endpoints:
                self.kept.remove(connection)
                return connection
        return None

    def close_unused(self, since: float) -> None:
        """Closes connections that were not used after ``since``."""
        for connection in self.kept:
            if connection.used_at <= since:
                connection.close()
        self.kept = [connection for connection in self.kept if connection.is_open]


class Receivers:
    """Connections to all receivers. Times are those of the event loop."""

    def __init__(self) -> None:
        self._receivers: dict[ReceiverKey, _Receiver] = {}
        self._kept: dict[HttpConnection, None] = {}
        """All kept connections, the one that was used last at the end."""
        self._sweep: asyncio.TimerHandle | None = None

    async def post(self, key: ReceiverKey, resolve: Resolve, request: bytes, timeout_s: float) -> int:
        """Sends a request over a kept connection or a new one. Returns the status of the response.

        If the receiver has closed a kept connection, the request is sent again over a new one.

        Args:
            key: the receiver.
            resolve: is called when its addresses, or its error, are older than ``RESOLVED_S``.
            request: head and body.
            timeout_s: time in s for connections to all addresses together.

        Raises:
            OSError: no address accepts a connection, or the connection failed.
        """
        receiver = await self._resolved(key, resolve)
        kept = receiver.take_idle()
        if kept is not None:
            self._kept.pop(kept, None)
            try:
                return await self._post(receiver, kept, request)
            except ConnectionFailed as error:
                if not error.before_response:
                    raise
            receiver = await self._resolved(
                key, resolve
            )  # that may have taken longer than the addresses are used
        return await self._post(receiver, await _connect(receiver.endpoints, timeout_s), request)

    def close(self) -> None:
        """Closes all connections."""
        for receiver in self._receivers.values():
            receiver.close_unused(float("inf"))
        if self._sweep is not None:
            self._sweep.cancel()
            self._sweep = None

    async def _resolved(self, key: ReceiverKey, resolve: Resolve) -> _Receiver:
        now = asyncio.get_running_loop().time
        receiver = self._receivers.setdefault(key, _Receiver())
        if now() >= receiver.resolved_at + RESOLVED_S:
            async with receiver.lock:  # one resolution for all messages that wait for it
                if now() >= receiver.resolved_at + RESOLVED_S:
                    await receiver.resolve(resolve)
                    receiver.resolved_at = now()
        if receiver.error is not None:
            raise receiver.error.with_traceback(None)
        return receiver

    async def _post(self, receiver: _Receiver, connection: HttpConnection, request: bytes) -> int:
        status = await connection.post(request)
        if connection.is_open:
            connection.used_at = asyncio.get_running_loop().time()
            receiver.kept.append(connection)
            self._kept[connection] = None
            if len(self._kept) > MAX_KEPT:
                oldest = next(iter(self._kept))
                del self._kept[oldest]
                oldest.close()
            self._plan_sweep()
        return status

    def _plan_sweep(self) -> None:
        if self._sweep is None:
            self._sweep = asyncio.get_running_loop().call_later(IDLE_S, self._close_unused)

    def _close_unused(self) -> None:
        """Closes connections that were not used for a while, and forgets receivers without any."""
        now = asyncio.get_running_loop().time()
        self._sweep = None
        for key, receiver in list(self._receivers.items()):
            receiver.close_unused(now - IDLE_S)
            if receiver.kept:
                self._plan_sweep()
            elif not receiver.lock.locked() and now >= receiver.resolved_at + RESOLVED_S:
                del self._receivers[key]
        self._kept = {connection: None for connection in self._kept if connection.is_open}


async def _connect(endpoints: Sequence[Endpoint], timeout_s: float) -> HttpConnection:
    """Tries the addresses in order. One that does not respond leaves time for the others and for the response."""
    each_s = timeout_s / (len(endpoints) + 1)
    for endpoint in endpoints[:-1]:
        try:
            return await HttpConnection.open(endpoint, each_s)
        except OSError:
            continue
    return await HttpConnection.open(endpoints[-1], each_s)
