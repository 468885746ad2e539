"""Host patterns of PREVIEW_ASSET_HOSTS. Compares text only, without DNS lookups."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ipaddress import IPv4Network, IPv6Network

DEFAULT_PORTS = {"http": 80, "https": 443}

_LINK_LOCAL = ("169.254.0.0/16", "fe80::/10")

_LABEL = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
HOST_NAME = rf"(?:{_LABEL}\.)*{_LABEL}\.?"
_PATTERN = rf"(?P<host>(?:\*\.)?{HOST_NAME}|\[[0-9a-f:.]+\])(?::(?P<port>[0-9]{{1,5}}))?"


@dataclass(frozen=True, slots=True)
class HostPattern:
    """A host that assets may be fetched from, or with ``subdomains`` every name below it.

    ``port`` None means the scheme's default port. ``network`` is one that its addresses may be in although it is not
    public.
    """

    name: str
    subdomains: bool = False
    port: int | None = None
    network: IPv4Network | IPv6Network | None = None

    def allows(self, scheme: str, host: str, port: int) -> bool:
        """Whether the pattern allows ``host`` (lower case) and ``port``."""
        if port != (self.port or DEFAULT_PORTS[scheme]):
            return False
        host = host.rstrip(".")
        return host.endswith(f".{self.name}") if self.subdomains else host == self.name

    def __str__(self) -> str:
        name = f"[{self.name}]" if ":" in self.name else self.name
        network = "" if self.network is None else f"={self.network}"
        return f"{'*.' if self.subdomains else ''}{name}{f':{self.port}' if self.port else ''}{network}"


def parse_host_pattern(text: str) -> HostPattern | None:
    """Parses ``example.org`` or ``*.example.org``, each optionally with ``:port`` and ``=network``; else None.

    A network is written as 10.1.0.0/16. Link-local ones, where clouds serve credentials, are none.
    """
    named, separator, cidr = text.partition("=")
    match = re.fullmatch(_PATTERN, named.lower())
    if match is None or (match["port"] and not 1 <= int(match["port"]) <= 65_535):
        return None
    network = _parse_network(cidr) if separator else None
    if separator and network is None:
        return None
    host = match["host"].strip("[]").rstrip(".")
    port = int(match["port"]) if match["port"] else None
    return HostPattern(host.removeprefix("*."), host.startswith("*."), port, network)


def _parse_network(text: str) -> IPv4Network | IPv6Network | None:
    import ipaddress  # noqa: PLC0415 - most commands need no networks

    try:
        network = ipaddress.ip_network(text)
    except ValueError:
        return None
    forbidden = [ipaddress.ip_network(other) for other in _LINK_LOCAL]
    if any(network.version == other.version and network.overlaps(other) for other in forbidden):
        return None
    return network


def is_in_named_network(
    hosts: Iterable[HostPattern], scheme: str, host: str, port: int, address: str
) -> bool:
    """Whether a pattern that allows this host names a network with this IP address."""
    import ipaddress  # noqa: PLC0415 - as above

    ip = ipaddress.ip_address(address)
    return any(
        pattern.network is not None
        and pattern.network.version == ip.version
        and ip in pattern.network
        and pattern.allows(scheme, host, port)
        for pattern in hosts
    )


def format_hosts(hosts: Sequence[HostPattern], variable: str = "PREVIEW_ASSET_HOSTS") -> str:
    """Lists the hosts of a setting for a message."""
    return ", ".join(str(host) for host in hosts) or f"no host ({variable} is empty)"
