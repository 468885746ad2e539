"""Addresses of Sentinels: ``redis+sentinel://[user:password@]host[:port],…/service[/database][?options]``. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, urlencode

SENTINEL_SCHEMES = ("redis+sentinel://", "rediss+sentinel://")
"""The second one uses TLS to the Sentinels and to the servers."""

DEFAULT_SENTINEL_PORT = 26379
SENTINEL_OPTIONS = ("sentinel_username", "sentinel_password")
"""Login to the Sentinels. The login before the hosts is that of the servers."""

_PLACEHOLDER = "primary"
_MAX_PORT = 65535
_NODE = re.compile(r"(?:(?P<name>[^\s:@\[\],]+)|\[(?P<ip6>[0-9A-Fa-f:.]+)\])(?::(?P<port>[0-9]{1,5}))?")
_SERVICE = re.compile(r"[A-Za-z0-9._-]+")


@dataclass(frozen=True, slots=True)
class SentinelAddress:
    """Sentinels in the order of the address, and what they are asked for.

    ``server_url`` is the address of a server with the login, database and options of the whole address. Its host is
    a placeholder: the Sentinels name the host.
    """

    sentinels: tuple[tuple[str, int], ...]
    service: str
    server_url: str = field(repr=False)
    username: str | None = None
    password: str | None = field(default=None, repr=False)

    def login_option(self, name: str) -> str | None:
        """Returns the value of one of ``SENTINEL_OPTIONS``, or None without it."""
        return self.username if name == "sentinel_username" else self.password


def is_sentinel_address(url: str) -> bool:
    """Whether an address is that of Sentinels."""
    return url.startswith(SENTINEL_SCHEMES)


def split_sentinel_address(url: str) -> SentinelAddress:
    """Splits an address of Sentinels.

    Raises:
        ValueError: a host, a port or the service cannot be read. The message follows "found <address>" and has no
            password.
    """
    scheme, _, rest = url.partition("://")
    before, mark, query = rest.partition("?")
    authority, _, path = before.partition("/")
    login, at_sign, hosts = authority.rpartition("@")
    service, slash, database = path.partition("/")
    sentinels = tuple(_split_node(node) for node in hosts.split(","))
    if _SERVICE.fullmatch(service) is None:
        raise ValueError(" without a service after the Sentinels, allowed the characters A-Z a-z 0-9 . _ -")
    fields = parse_qsl(query, keep_blank_values=True)
    options = dict(fields)
    kept = urlencode([item for item in fields if item[0] not in SENTINEL_OPTIONS], safe="*/")
    server = f"{scheme.partition('+')[0]}://{login}{at_sign}{_PLACEHOLDER}{slash}{database}"
    return SentinelAddress(
        sentinels=sentinels,
        service=service,
        server_url=f"{server}?{kept}" if mark and kept else server,
        username=options.get("sentinel_username"),
        password=options.get("sentinel_password"),
    )


def _split_node(text: str) -> tuple[str, int]:
    node = _NODE.fullmatch(text)
    port = int(node["port"] or DEFAULT_SENTINEL_PORT) if node is not None else 0
    if node is None or not 0 < port <= _MAX_PORT:
        raise ValueError(" with a Sentinel that cannot be read, allowed host[:port] separated by commas")
    return node["name"] or node["ip6"], port
