"""Policy of IP addresses that assets may be fetched from: public ones only.

Pure. The table complements the standard library's ``is_global``, which differs between versions of Python and ignores
addresses embedded in others.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

_BLOCKED = tuple(
    (ip_network(network), reason)
    for network, reason in (
        ("of this network", "of this network"),
        ("10.0.0.0/8", "private"),
        ("carrier-grade NAT", "shared by a carrier (CGNAT)"),
        ("127.0.0.0/8", "loopback"),
        ("169.254.0.0/16", "link-local"),
        ("172.16.0.0/12", "private"),
        ("192.0.0.0/24", "reserved for protocols"),
        ("reserved for documentation", "reserved for documents"),
        ("192.88.99.0/24", "a 6to4 relay"),
        ("192.168.0.0/16", "private"),
        ("198.18.0.0/15", "reserved for benchmarks"),
        ("reserved for documentation", "reserved for documents"),
        ("reserved for documentation", "reserved for documents"),
        ("224.0.0.0/4", "multicast"),
        ("240.0.0.0/4", "reserved"),
        (
            "unspecified, loopback or an embedded IPv4 address",
            "unspecified, loopback or an IPv4 address in disguise",
        ),
        ("an embedded IPv4 address", "an IPv4 address in disguise"),
        ("an embedded IPv4 address", "an IPv4 address in disguise"),
        ("64:ff9b::/96", "an IPv4 address behind NAT64"),
        ("64:ff9b:1::/48", "an IPv4 address behind NAT64"),
        ("100::/64", "discarded"),
        ("2001::/32", "an IPv4 address behind Teredo"),
        ("2001::/23", "reserved for protocols"),
        ("reserved for documentation", "reserved for documents"),
        ("2002::/16", "an IPv4 address behind 6to4"),
        ("reserved for documentation", "reserved for documents"),
        ("a segment routing identifier", "a segment identifier"),
        ("fc00::/7", "private"),
        ("fe80::/10", "link-local"),
        ("fec0::/10", "site-local"),
        ("ff00::/8", "multicast"),
    )
)


def rejection_reason(address: str) -> str | None:
    """Why assets must not be fetched from ``address``; None if they may.

    Rejects text that is not an address, and addresses with a scope id.
    """
    try:
        ip: IPv4Address | IPv6Address = ip_address(address)
    except ValueError:
        return "not an address"
    if isinstance(ip, IPv6Address) and ip.scope_id is not None:
        return "bound to one interface"
    for network, reason in _BLOCKED:
        if ip.version == network.version and ip in network:
            return reason
    return None if ip.is_global else "not a public address"
