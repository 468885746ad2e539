"""Listening sockets and their addresses."""

from __future__ import annotations

import errno
import ipaddress
import socket

from previewops.api.errors import ListenError

BACKLOG = 2048
"""Connections that may wait to be accepted; a client that finds the backlog full retries after seconds."""

_REASONS = {
    errno.EADDRINUSE: ("another process is listening there", "stop it, or choose another --port"),
    errno.EACCES: ("permission denied", "choose a --port of 1024 or more"),
    errno.EADDRNOTAVAIL: (
        "this machine does not have the address",
        "choose an address of this machine as --host",
    ),
}


def resolve_addresses(host: str, port: int) -> list[tuple[socket.AddressFamily, str]]:
    """Resolves ``host`` to distinct addresses.

    Raises:
        ListenError: the name cannot be resolved.
    """
    try:
        resolved = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError):
        raise ListenError(
            host, port, "the name cannot be resolved", hint="choose an address of this machine as --host"
        ) from None
    return list(dict.fromkeys((family, str(address[0])) for family, _, _, _, address in resolved))


def is_loopback(resolved: list[tuple[socket.AddressFamily, str]]) -> bool:
    """Whether only this machine can reach all of the addresses."""
    return all(ipaddress.ip_address(address.partition("%")[0]).is_loopback for _, address in resolved)


def bind_sockets(
    host: str, port: int, resolved: list[tuple[socket.AddressFamily, str]]
) -> list[socket.socket]:
    """Binds a socket to each address, all on one port; 0 picks a free port.

    Raises:
        ListenError: an address cannot be bound.
    """
    sockets: list[socket.socket] = []
    try:
        for family, address in resolved:
            bound = socket.socket(family, socket.SOCK_STREAM)
            sockets.append(bound)
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            bound.bind((address, sockets[0].getsockname()[1] if len(sockets) > 1 else port))
            bound.listen(BACKLOG)
    except OSError as error:
        for bound in sockets:
            bound.close()
        reason, hint = _REASONS.get(
            error.errno or 0, (error.strerror or str(error), "choose another address")
        )
        raise ListenError(host, port, reason, hint=hint) from None
    return sockets
