"""Addresses of clients, also behind reverse proxies. Pure."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

MAX_HOPS = 16
"""Entries of X-Forwarded-For that are read, from the nearest proxy on."""

_IPV6_NETWORK_BITS = 64


@dataclass(frozen=True, slots=True)
class ClientAddresses:
    """Finds the address of a client. ``proxies`` are the networks whose X-Forwarded-For is trusted."""

    proxies: tuple[IPv4Network | IPv6Network, ...] = ()

    def resolve(self, peer: str, forwarded_for: str) -> str:
        """Returns the client's address: the nearest one of X-Forwarded-For that is not a proxy, or ``peer``.

        Each proxy appends the address that it was connected from, so entries before the nearest client's own may be
        forged. The header of a peer that is not a proxy is ignored.
        """
        client = peer
        hops = reversed(forwarded_for.rsplit(",", MAX_HOPS)[-MAX_HOPS:]) if self.proxies else ()
        for hop in hops:
            if not self.is_proxy(client):
                break
            address = _parse(_without_port(hop.strip()))
            if address is None:
                break
            client = str(address)
        return client

    def is_shared(self, address: str) -> bool:
        """Whether several clients connect from ``address``: it is a proxy, or on this machine."""
        parsed = _parse(address)
        return parsed is not None and (parsed.is_loopback or self.is_proxy(address))

    def is_proxy(self, address: str) -> bool:
        """Whether ``address`` is that of a trusted proxy."""
        parsed = _parse(address)
        return parsed is not None and any(
            parsed.version == network.version and parsed in network for network in self.proxies
        )


def client_key(address: str) -> str:
    """Returns the key of a client: an IPv4 address, or the /64 network of an IPv6 address, which one host owns."""
    if ":" not in address:
        return address
    try:
        network = ipaddress.ip_network((address.partition("%")[0], _IPV6_NETWORK_BITS), strict=False)
    except ValueError:
        return address
    return str(network)


def _without_port(hop: str) -> str:
    """Returns the address of ``address:port`` and ``[address]:port``, which some proxies append."""
    if hop.startswith("["):
        return hop[1:].partition("]")[0]
    host, _, port = hop.partition(":")
    return host if port.isdecimal() else hop


def _parse(text: str) -> IPv4Address | IPv6Address | None:
    """Parses an address; an IPv4 address in IPv6 form becomes IPv4."""
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address
