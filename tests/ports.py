"""TCP ports for servers that are given their port."""

from __future__ import annotations

import random
import socket

_PORTS = range(15_000, 32_000)
"""Below those that the kernel gives to connections and to port 0, on the usual systems."""
_shuffled = iter(random.SystemRandom().sample(_PORTS, len(_PORTS)))


def free_port() -> int:
    """Returns a port of loopback that nobody listens on, never the same one twice.

    No connection takes it before its server starts, or between a stop and a start of its server.
    """
    for port in _shuffled:
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise AssertionError(f"no free port from {_PORTS.start} to {_PORTS.stop - 1}")
