"""Accept loop that takes many connections per wakeup.

uvloop's own servers accept one connection per loop iteration (libuv since 1.45). While an iteration serves hundreds
of requests, new clients would wait for seconds behind earlier ones.
"""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Callable, Sequence
from contextlib import suppress

import structlog

MAX_ACCEPTS_PER_WAKEUP = 256
"""Connections accepted per wakeup before open connections are served."""

PAUSE_S = 0.5
"""Pause in seconds after the system ran out of file descriptors or memory."""

_OUT_OF_RESOURCES = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})

log = structlog.get_logger()


class AcceptLoop:
    """Accepts connections at ``sockets`` and gives each a protocol from ``factory``."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        sockets: Sequence[socket.socket],
        factory: Callable[[], asyncio.Protocol],
    ) -> None:
        self._loop = loop
        self._sockets = sockets
        self._factory = factory
        self._handovers: set[asyncio.Task[None]] = set()
        self._pause: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Starts to accept connections."""
        self._pause = None
        for bound in self._sockets:
            bound.setblocking(False)
            self._loop.add_reader(bound, self._accept, bound)

    def stop(self) -> None:
        """Stops accepting; open connections continue."""
        if self._pause is not None:
            self._pause.cancel()
        for bound in self._sockets:
            self._loop.remove_reader(bound)

    def _accept(self, bound: socket.socket) -> None:
        for _ in range(MAX_ACCEPTS_PER_WAKEUP):
            try:
                connection, _ = bound.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                if error.errno not in _OUT_OF_RESOURCES:
                    raise
                log.warning("api.accept-failed", error=error.strerror)
                self.stop()
                self._pause = self._loop.call_later(PAUSE_S, self.start)
                return
            connection.setblocking(False)
            task = self._loop.create_task(self._hand_over(connection))
            self._handovers.add(task)
            task.add_done_callback(self._handovers.discard)

    async def _hand_over(self, connection: socket.socket) -> None:
        with suppress(OSError):  # the client has already closed it
            await self._loop.connect_accepted_socket(self._factory, connection)
