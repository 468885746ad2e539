"""Tells systemd how a service is, by the protocol of sd_notify(3): a datagram on the socket NOTIFY_SOCKET names.

Elsewhere than under ``Type=notify`` there is no such socket, and nothing is told.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from contextlib import suppress

NOTIFY_VARIABLES = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID")
"""Variables that are meant for one process alone and not for its children."""


class SystemdNotifier:
    """The line to systemd of this process. Telling never blocks and never fails."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        path = environ.get("NOTIFY_SOCKET", "")
        # An abstract socket's name begins with NUL, which a variable cannot hold.
        self._address = "\0" + path[1:] if path.startswith("@") else path
        self._socket: socket.socket | None = None
        self.watchdog_s = _watchdog_s(environ) if self._address else None
        """Seconds without a word of ours after which we are killed; None: nobody watches."""

    def ready(self, status: str) -> None:
        """The service is up."""
        self._tell("READY=1", f"STATUS={status}")

    def status(self, status: str) -> None:
        """A line for ``systemctl status``."""
        self._tell(f"STATUS={status}")

    def reloading(self, monotonic_us: int) -> None:
        """A reload has begun; ``ready`` ends it. ``monotonic_us`` is CLOCK_MONOTONIC in µs."""
        self._tell("RELOADING=1", f"MONOTONIC_USEC={monotonic_us}")

    def stopping(self, status: str) -> None:
        """The service is going down."""
        self._tell("STOPPING=1", f"STATUS={status}")

    def feed_watchdog(self) -> None:
        """Feeds the watchdog, where there is one. To be called where work gets on, and nowhere else."""
        if self.watchdog_s is not None:
            self._tell("WATCHDOG=1")

    def close(self) -> None:
        """Closes the socket."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _tell(self, *lines: str) -> None:
        if not self._address:
            return
        if self._socket is None:
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
            self._socket.setblocking(False)
        # The manager may be restarting. Its watchdog is what counts then.
        with suppress(OSError):
            self._socket.sendto("\n".join(lines).encode(), self._address)


def _watchdog_s(environ: Mapping[str, str]) -> float | None:
    limit_us = environ.get("WATCHDOG_USEC", "")
    for_us = environ.get("WATCHDOG_PID", "") in ("", str(os.getpid()))
    return int(limit_us) / 1_000_000 if limit_us.isdigit() and for_us else None
