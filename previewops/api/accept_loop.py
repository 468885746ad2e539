"""Takes connections as fast as they come.

uvloop's own servers take one connection each time round the loop (libuv since 1.45). While a round answers hundreds
of requests, that has new clients wait for seconds behind those that were first.
"""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Callable, Sequence
from contextlib import suppress

import structlog

MAX_ACCEPTS_PER_WAKEUP = 256
"""Connections that are taken before those that are there get their turn."""

PAUSE_S = 0.5
"""How long none are taken after the system had no room for one."""

_NO_ROOM = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})

log = structlog.get_logger()


class AcceptLoop:
    """Gives each connection that arrives at ``sockets`` a protocol that ``factory`` makes."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        sockets: Sequence[socket.socket],
        factory: Callable[[], asyncio.Protocol],
    ) -> None:
        self._loop = loop
        self._sockets = sockets
        self._factory = factory
        self._handing: set[asyncio.Task[None]] = set()
        self._pause: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Begins to take connections."""
        self._pause = None
        for bound in self._sockets:
            bound.setblocking(False)
            self._loop.add_reader(bound, self._accept, bound)

    def stop(self) -> None:
        """Takes no more; those that were taken go on."""
        if self._pause is not None:
            self._pause.cancel()
        for bound in self._sockets:
            self._loop.remove_reader(bound)

    def _accept(self, bound: socket.socket) -> None:
        for _ in range(MAX_ACCEPTS_PER_WAKEUP):
            try:
                taken, _ = bound.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                if error.errno not in _NO_ROOM:
                    raise
                log.warning("api.no-room", error=error.strerror)
                self.stop()
                self._pause = self._loop.call_later(PAUSE_S, self.start)
                return
            taken.setblocking(False)
            task = self._loop.create_task(self._hand_over(taken))
            self._handing.add(task)
            task.add_done_callback(self._handing.discard)

    async def _hand_over(self, taken: socket.socket) -> None:
        with suppress(OSError):  # it is gone already
            await self._loop.connect_accepted_socket(self._factory, taken)
