"""Policy of IP addresses that assets may be fetched from: public ones only.

Pure. The table complements the standard library's ``is_global``, which differs between versions of Python and ignores
addresses embedded in others.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

_BLOCKED = tuple(
    (ip_network(network), reason)
    for network, reason in (
        ("0.0.0.0/8", "of this network"),
        ("10.0.0.0/8", "private"),
        ("100.64.0.0/10", "carrier-grade NAT (CGNAT)"),
        ("127.0.0.0/8", "loopback"),
        ("168.63.129.16/32", "the host of an Azure machine"),
        ("169.254.0.0/16", "link-local"),
        ("172.16.0.0/12", "private"),
        ("192.0.0.0/24", "reserved for protocols"),
        ("192.0.2.0/24", "reserved for documentation"),
        ("192.31.196.0/24", "a name server of AS112"),
        ("192.52.193.0/24", "an AMT relay"),
        ("192.88.99.0/24", "a 6to4 relay"),
        ("192.168.0.0/16", "private"),
        ("192.175.48.0/24", "a name server of AS112"),
        ("198.18.0.0/15", "reserved for benchmarks"),
        ("198.51.100.0/24", "reserved for documentation"),
        ("203.0.113.0/24", "reserved for documentation"),
        ("224.0.0.0/4", "multicast"),
        ("240.0.0.0/4", "reserved"),
        ("::/96", "unspecified, loopback or an embedded IPv4 address"),
        ("::ffff:0:0/96", "an embedded IPv4 address"),
        ("::ffff:0:0:0/96", "an embedded IPv4 address"),
        ("64:ff9b::/96", "an IPv4 address behind NAT64"),
        ("64:ff9b:1::/48", "an IPv4 address behind NAT64"),
        ("100::/64", "discarded"),
        ("2001::/32", "an IPv4 address behind Teredo"),
        ("2001::/23", "reserved for protocols"),
        ("2001:db8::/32", "reserved for documentation"),
        ("2002::/16", "an IPv4 address behind 6to4"),
        ("2620:4f:8000::/48", "a name server of AS112"),
        ("3fff::/20", "reserved for documentation"),
        ("5f00::/16", "a segment routing identifier"),
        ("fc00::/7", "private"),
        ("fe80::/10", "link-local"),
        ("fec0::/10", "site-local"),
        ("ff00::/8", "multicast"),
    )
)
_GLOBAL_UNICAST = ip_network("2000::/3")
"""All that IANA assigns to the IPv6 internet; ``is_global`` is true for most of the rest too."""

_ISATAP = frozenset({0x0000_5EFE, 0x0200_5EFE})
"""Upper half of the interface id of an address that embeds an IPv4 address (RFC 5214)."""


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
    if isinstance(ip, IPv6Address):
        if ip not in _GLOBAL_UNICAST:
            return "not global unicast"
        if int(ip) >> 32 & 0xFFFF_FFFF in _ISATAP:
            return "an IPv4 address behind ISATAP"
    return None if ip.is_global else "not a public address"
