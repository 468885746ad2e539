"""The addresses that are listened on, and whether others can reach them."""

from __future__ import annotations

import errno
import ipaddress
import socket

from previewops.api.errors import ListenError

BACKLOG = 2048
"""Connections that may wait to be accepted: one that finds no room waits for seconds before it asks again."""

_REASONS = {
    errno.EADDRINUSE: ("another process listens there", "stop it, or choose another --port"),
    errno.EACCES: ("this user may not", "choose a --port from 1024 on"),
    errno.EADDRNOTAVAIL: ("this machine has no such address", "choose an address of this machine as --host"),
}


def resolve_addresses(host: str, port: int) -> list[tuple[socket.AddressFamily, str]]:
    """The addresses that ``host`` stands for, each once.

    Raises:
        CannotListen: it stands for none.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError):
        raise ListenError(
            host, port, "the name is not known", hint="choose an address of this machine as --host"
        ) from None
    return list(dict.fromkeys((family, str(address[0])) for family, _, _, _, address in found))


def is_loopback(found: list[tuple[socket.AddressFamily, str]]) -> bool:
    """Whether only this machine can reach all of these addresses."""
    return all(ipaddress.ip_address(address.partition("%")[0]).is_loopback for _, address in found)


def bind_sockets(host: str, port: int, found: list[tuple[socket.AddressFamily, str]]) -> list[socket.socket]:
    """Sockets bound to the addresses, all on one port; 0 stands for one that is free.

    Raises:
        CannotListen: one of them cannot be had.
    """
    sockets: list[socket.socket] = []
    try:
        for family, address in found:
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
