"""Checks of a request's head that RFC 9110 and RFC 9112 demand of a server. Pure."""

from __future__ import annotations

import ipaddress
import re

from starlette.types import Scope

from previewops.api.errors import (
    BadRequest,
    CodingNotImplemented,
    ExpectationFailed,
    UnsupportedMediaType,
    VersionNotSupported,
)

MAX_QUERY_PARAMETERS = 100
"""Query parameters of one request. Splitting thousands of them would block the event loop."""

_VERSIONS = ("1.0", "1.1")
_HOST = re.compile(
    r"(?P<name>\[(?P<ipv6>[0-9A-Fa-f:.]{2,45})\]|[A-Za-z0-9._~%!$&'()*+,;=-]{0,255})(?::(?P<port>[0-9]{0,5}))?"
)
_MAX_PORT = 65_535
_OWS = " \t"
"""White space around a value. ``str.strip`` also removes a no-break space, which parser and proxies do not: they
would not see the coding that this module reads."""
_SINGLE = (
    b"authorization",
    b"content-type",
    b"origin",
    b"range",
    b"if-range",
    b"sec-fetch-site",
    b"sec-fetch-mode",
)
"""Headers whose second value another reader of the request could prefer."""


def check_head(scope: Scope) -> None:
    """Checks version, Host, repeated headers, codings, Expect and the number of query parameters.

    Raises:
        ApiError: the request must not be processed.
    """
    version = scope["http_version"]
    if version not in _VERSIONS:
        raise VersionNotSupported(f"HTTP version: found {version}, allowed 1.1 or 1.0", headers=_CLOSE)
    _check_host(_values(scope, b"host"), required=version == "1.1")
    _check_transfer_encoding(_values(scope, b"transfer-encoding"), version)
    _check_single_headers(scope)
    if version == "1.1":  # a server ignores the expectations of HTTP/1.0
        _check_expect(_values(scope, b"expect"))
    _check_content_encoding(_values(scope, b"content-encoding"))
    if scope["query_string"].count(b"&") >= MAX_QUERY_PARAMETERS:
        found = f"{scope['query_string'].count(b'&') + 1} parameters"
        raise BadRequest(f"query: found {found}, allowed {MAX_QUERY_PARAMETERS}")


_CLOSE = (("Connection", "close"),)


def _values(scope: Scope, name: bytes) -> list[str]:
    return [value.decode("latin-1").strip(_OWS) for own, value in scope["headers"] if own == name]


def _members(values: list[str]) -> list[str]:
    """Returns the members of a list header in lower case; empty members are ignored."""
    return [part for member in ",".join(values).split(",") if (part := member.strip(_OWS).lower())]


def _check_host(values: list[str], *, required: bool) -> None:
    if len(values) > 1 or (required and not values):
        raise BadRequest(f"Host: found {len(values)} headers, allowed one", headers=_CLOSE)
    if values and not is_valid_host(values[0]):
        raise BadRequest("Host: found a malformed name or port, allowed host or host:port", headers=_CLOSE)


def is_valid_host(value: str) -> bool:
    """Whether ``value`` has the syntax of a Host header (RFC 9110, section 7.2)."""
    match = _HOST.fullmatch(value)
    if match is None or int(match["port"] or 0) > _MAX_PORT:
        return False
    if match["ipv6"] is None:
        return True
    try:
        ipaddress.IPv6Address(match["ipv6"])
    except ValueError:
        return False
    return True


def _check_single_headers(scope: Scope) -> None:
    names = [name for name, _ in scope["headers"] if name in _SINGLE]
    if len(names) > len(set(names)):
        name = next(name for name in names if names.count(name) > 1).decode().title()
        raise BadRequest(f"{name}: found several headers, allowed one", headers=_CLOSE)


def replace_host(target: bytes, headers: list[tuple[bytes, bytes]]) -> None:
    """Replaces the value of Host by the authority of a request target that is a whole address.

    A server has to do so (RFC 9112, section 3.2.2): proxies choose by that authority.
    """
    if target.startswith(b"/"):
        return
    _, separator, rest = target.partition(b"://")
    if separator:
        authority = re.split(rb"[/?#]", rest, maxsplit=1)[0]
        headers[:] = [(name, authority if name == b"host" else value) for name, value in headers]


def _check_transfer_encoding(values: list[str], version: str) -> None:
    if values and version == "1.0":
        raise BadRequest("Transfer-Encoding: found one in HTTP/1.0, allowed none", headers=_CLOSE)
    if values and _members(values) != ["chunked"]:
        raise CodingNotImplemented(
            "Transfer-Encoding: found other codings, allowed chunked alone", headers=_CLOSE
        )


def _check_expect(values: list[str]) -> None:
    if any(member != "100-continue" for member in _members(values)):
        raise ExpectationFailed("Expect: found an unknown expectation, allowed 100-continue", headers=_CLOSE)


def _check_content_encoding(values: list[str]) -> None:
    if any(member != "identity" for member in _members(values)):
        raise UnsupportedMediaType(
            "Content-Encoding: found a compressed body, allowed none (send it uncompressed)",
            headers=(("Accept-Encoding", "identity"),),
        )
