"""Reports a service's state to systemd by the sd_notify(3) protocol: datagrams to the socket NOTIFY_SOCKET.

Without ``Type=notify`` there is no such socket and nothing is sent. What feeds the watchdog refreshes the process's
alive file as well, for supervisors other than systemd.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from contextlib import suppress

from previewops.process.alive import REFRESH_INTERVAL_S, AliveFile

NOTIFY_VARIABLES = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID")
"""Variables that apply to one process and must not reach its children."""


class SystemdNotifier:
    """Sends this process's state to systemd. Never blocks, never fails.

    ``alive`` is the process's alive file, which is refreshed with the watchdog and closed with this notifier.
    """

    def __init__(self, environ: Mapping[str, str], *, alive: AliveFile | None = None) -> None:
        self._alive = alive
        path = environ.get("NOTIFY_SOCKET", "")
        # An abstract socket's name starts with NUL, which a variable cannot contain.
        self._address = "\0" + path[1:] if path.startswith("@") else path
        self._socket: socket.socket | None = None
        self.watchdog_s = _watchdog_s(environ) if self._address else None
        """Seconds without ``feed_watchdog`` after which systemd kills this process; None: no watchdog."""

    def ready(self, status: str) -> None:
        """Reports that the service is up."""
        self._send("READY=1", f"STATUS={status}")

    def status(self, status: str) -> None:
        """Sets the line that ``systemctl status`` shows."""
        self._send(f"STATUS={status}")

    def reloading(self, monotonic_us: int) -> None:
        """Reports the start of a reload; ``ready`` ends it. ``monotonic_us`` is CLOCK_MONOTONIC in µs."""
        self._send("RELOADING=1", f"MONOTONIC_USEC={monotonic_us}")

    def stopping(self, status: str) -> None:
        """Reports that the service is shutting down."""
        self._send("STOPPING=1", f"STATUS={status}")

    @property
    def feed_interval_s(self) -> float:
        """Seconds after which to feed the watchdog again."""
        return min(REFRESH_INTERVAL_S, (self.watchdog_s or REFRESH_INTERVAL_S * 3) / 3)

    def feed_watchdog(self) -> None:
        """Feeds the watchdog and refreshes the alive file, if there are. Call it only where work makes progress."""
        if self.watchdog_s is not None:
            self._send("WATCHDOG=1")
        if self._alive is not None:
            self._alive.refresh()

    def close(self) -> None:
        if self._alive is not None:
            self._alive.close()
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _send(self, *lines: str) -> None:
        if not self._address:
            return
        if self._socket is None:
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
            self._socket.setblocking(False)
        # The manager may be restarting. Its watchdog decides then.
        with suppress(OSError):
            self._socket.sendto("\n".join(lines).encode(), self._address)


def _watchdog_s(environ: Mapping[str, str]) -> float | None:
    limit_us = environ.get("WATCHDOG_USEC", "")
    for_us = environ.get("WATCHDOG_PID", "") in ("", str(os.getpid()))
    return int(limit_us) / 1_000_000 if limit_us.isdigit() and for_us else None
