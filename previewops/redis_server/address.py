"""Checks of a Redis address before it is used. Pure."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import SplitResult, parse_qsl, urlsplit

from previewops.redis_server.sentinel_address import (
    SENTINEL_OPTIONS,
    SENTINEL_SCHEMES,
    is_sentinel_address,
    split_sentinel_address,
)

SCHEMES = ("redis://", "rediss://", "unix://", *SENTINEL_SCHEMES)
_MAX_DATABASE = 2**31 - 1

_FLAGS = ("true", "false", "yes", "no", "1", "0", "t", "f", "y", "n")


def _is_seconds(value: str) -> bool:
    try:
        return 0 < float(value) < float("inf")
    except ValueError:
        return False


def _is_count(value: str) -> bool:
    return value.isascii() and value.isdecimal() and len(value) < 10


def _is_flag(value: str) -> bool:
    return value.lower() in _FLAGS


def _is_text(value: str) -> bool:
    return bool(value)


def _is_client_name(value: str) -> bool:
    return bool(value) and all("!" <= character <= "~" for character in value)


_OPTIONS: dict[str, tuple[Callable[[str], bool], str]] = {
    "db": (_is_count, "a number"),
    "username": (_is_text, "a name"),
    "password": (_is_text, "a password"),
    "password_file": (_is_text, "a file"),
    "client_name": (_is_client_name, "ASCII characters without blanks"),
    "socket_timeout": (_is_seconds, "seconds"),
    "socket_connect_timeout": (_is_seconds, "seconds"),
    "socket_keepalive": (_is_flag, "true or false"),
    "health_check_interval": (_is_count, "whole seconds"),
    "max_connections": (_is_count, "a number"),
}
_TLS_OPTIONS: dict[str, tuple[Callable[[str], bool], str]] = {
    "ssl_ca_certs": (_is_text, "a file"),
    "ssl_ca_data": (_is_text, "certificates"),
    "ssl_certfile": (_is_text, "a file"),
    "ssl_keyfile": (_is_text, "a file"),
    "ssl_check_hostname": (_is_flag, "true or false"),
    "ssl_cert_reqs": (lambda value: value in ("none", "optional", "required"), "none, optional or required"),
}


def find_address_problem(url: str) -> tuple[str, str] | None:
    """Returns the problem of an address, to follow "found <address>", and what to do; None without one.

    Neither contains a password.
    """
    if is_sentinel_address(url):
        return _sentinel_problem(url)
    if not url.startswith(SCHEMES):
        return (
            ", allowed an address that starts with redis://, rediss://, unix:// or redis+sentinel://",
            "for example redis://host:6379/0",
        )
    authority = url.partition("://")[2].partition("/")[0].partition("?")[0]
    if "," in authority.rpartition("@")[2] and not url.startswith("unix:"):
        return (
            " with several servers, as of a Cluster or of Sentinels, allowed one",
            "for Sentinels use redis+sentinel://host:26379,…/service; Redis Cluster is not supported",
        )
    try:
        parts = urlsplit(url)
        has_valid_port = parts.port is None or parts.port > 0
    except ValueError:
        return _unreadable(url)
    if parts.scheme == "unix":
        problem = _path_problem(parts)
    elif not has_valid_port or parts.fragment or "@" in parts.path or "@" in parts.query:
        return _unreadable(url)
    else:
        problem = _database_problem(parts)
    return problem or _option_problem(parts)


def _sentinel_problem(url: str) -> tuple[str, str] | None:
    if "@" in url.partition("://")[2].partition("/")[2]:
        return _unreadable(url)
    try:
        address = split_sentinel_address(url)
    except ValueError as error:
        return str(error), "for example redis+sentinel://host-1:26379,host-2:26379/service/0"
    for name, value in ((name, address.login_option(name)) for name in SENTINEL_OPTIONS):
        if value == "":
            return f" with an empty {name}, allowed a text", f"correct or remove {name}"
    return find_address_problem(address.server_url)


def _unreadable(url: str) -> tuple[str, str]:
    if "@" in url:
        return (
            " with a special character in user name or password, allowed its percent-encoding",
            "write / as %2F, ? as %3F, # as %23, @ as %40, : as %3A, % as %25",
        )
    return (
        " with a host or port that cannot be read, allowed host[:port]",
        "allowed: redis://[user:password@]host[:port][/database]",
    )


def _path_problem(parts: SplitResult) -> tuple[str, str] | None:
    if not parts.hostname and parts.path.startswith("/") and len(parts.path) > 1:
        return None
    return (
        " without the path of a socket, allowed an absolute path",
        "for example unix:///run/redis/redis.sock",
    )


def _database_problem(parts: SplitResult) -> tuple[str, str] | None:
    database = parts.path.removeprefix("/")
    if not database or (_is_count(database) and int(database) <= _MAX_DATABASE):
        return None
    return f" with database {database[:40]!r}, allowed a number", "for example redis://host:6379/0"


def _option_problem(parts: SplitResult) -> tuple[str, str] | None:
    allowed = {**_OPTIONS, **(_TLS_OPTIONS if parts.scheme == "rediss" else {})}
    for name, value in parse_qsl(parts.query, keep_blank_values=True):
        if name not in allowed:
            return f" with option {name[:40]!r}, allowed {', '.join(sorted(allowed))}", f"remove {name[:40]}"
        is_valid, kind = allowed[name]
        if not is_valid(value):
            return f" with an invalid {name}, allowed {kind}", f"correct or remove {name}"
    return None
