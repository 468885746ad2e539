"""Parses web addresses of assets by their text alone.

The fetcher resolves the host and checks its IP addresses.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from previewops.host_patterns import DEFAULT_PORTS, HOST_NAME
from previewops.message_formatting import escape_unprintable, quote, shorten

MAX_URL_CHARACTERS = 2_048
MAX_HOST_CHARACTERS = 253  # of DNS

_UNPRINTED = r"[\x00-\x20\x7f\\\s]"


class InvalidUrl(Exception):
    """A web address that cannot be fetched; the fields are those of a violation."""

    def __init__(self, message: str, found: str, allowed: str) -> None:
        super().__init__(message)
        self.message = message
        self.found = found
        self.allowed = allowed


class HttpUri(NamedTuple):
    """An http or https address. ``host`` is lower case and ASCII, without brackets; ``url`` is the whole address."""

    scheme: str
    host: str
    port: int
    url: str


def parse_url(url: str) -> HttpUri:
    """Parses an http or https address.

    Raises:
        InvalidUrl: it is too long, malformed, or has a user name, a fragment or an invalid port.
    """
    from urllib.parse import urlsplit  # noqa: PLC0415 - most payloads have no web address

    if len(url) > MAX_URL_CHARACTERS:
        raise InvalidUrl("is too long", f"{len(url)} characters", f"{MAX_URL_CHARACTERS} characters")
    if re.search(_UNPRINTED, url):
        message = "contains a space, a control character or a backslash"
        raise InvalidUrl(message, quote_uri(url), "percent escapes")
    try:
        parts = urlsplit(url)
        port = parts.port
        host = _ascii_host(parts.hostname or "")
    except ValueError as error:
        reason = shorten(escape_unprintable(str(error)))
        raise InvalidUrl(
            "is a malformed web address", quote_uri(url), f"https://host/path ({reason})"
        ) from None
    if not host or port == 0:
        raise InvalidUrl("is a web address without a host or port", quote_uri(url), "https://host/path")
    if parts.username is not None or parts.password is not None:
        allowed = "addresses without user and password"
        raise InvalidUrl("contains a user name", f"an address at {host}", allowed)
    if parts.fragment:
        raise InvalidUrl("has a fragment", "a fragment", "addresses without #")
    return HttpUri(parts.scheme, host, port or DEFAULT_PORTS[parts.scheme], url)


def quote_uri(uri: str) -> str:
    """Returns a uri as a JSON string for messages, without its query, which may be a signature."""
    from previewops.disclosure import hide_query  # noqa: PLC0415 - most payloads are valid

    return quote(hide_query(uri))


def _ascii_host(host: str) -> str:
    """Returns ``host`` as DNS has it. Raises ValueError for an invalid name.

    The length comes first: the cost of an internationalized name is the square of it.
    """
    if len(host) > MAX_HOST_CHARACTERS:
        raise ValueError(f"host name of more than {MAX_HOST_CHARACTERS} characters")
    if ":" in host:
        return host.lower()
    name = (host if host.isascii() else host.encode("idna").decode("ascii")).lower()
    if name and re.fullmatch(HOST_NAME, name) is None:
        raise ValueError("not a host name")
    return name
