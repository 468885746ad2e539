"""The Redis address, connections to it, and its errors as RedisUnavailable.

Importing this module does not import the Redis client, so that commands without Redis start fast.
"""

from __future__ import annotations

import hashlib
import os
import re
import socket
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict, Unpack
from urllib.parse import quote

from previewops.disclosure import redact_url
from previewops.errors import ForeignKey, LayoutUnsupported, RedisUnavailable, UsageError
from previewops.redis_server.address import find_address_problem
from previewops.redis_server.failures import unavailable_reason
from previewops.redis_server.password_file import split_password_file, with_password_file
from previewops.redis_server.sentinel_address import is_sentinel_address, split_sentinel_address
from previewops.secret_files import has_password
from previewops.settings import DEFAULT_REDIS_URL, Settings

if TYPE_CHECKING:
    from redis.asyncio import Redis

    from previewops.redis_server.pool import PrimaryPool

CONNECT_TIMEOUT_S = 2.0
SOCKET_TIMEOUT_S = 5.0
HEALTH_CHECK_S = 15.0
PROBE_TIMEOUT_S = 0.25

SOCKET_NAME = "redis.sock"
# struct sockaddr_un holds 108 bytes with the final NUL on Linux and 104 on the BSDs and macOS.
SOCKET_PATH_BYTES = 100
# Not tempfile.gettempdir(): TMPDIR differs between sessions that need the same path.
_TMP = Path("/tmp")  # noqa: S108 - folders in it are checked by _is_private
# Clients differ in whether they percent-decode a unix:// address; these characters need no encoding.
_UNENCODED_PATH = re.compile(r"[A-Za-z0-9/._~-]+")


def resolve_redis_url(settings: Settings, *, option: str | None) -> str:
    """Returns the Redis address: ``option``, REDIS_URL, a live private server under DATA_DIR, or the default.

    It names PREVIEW_REDIS_PASSWORD_FILE, unless it has a password or is that of a private server.

    Raises:
        UsageError: the address is not that of a Redis server.
    """
    if option is None and settings.redis_url is None:
        path = socket_path(settings.data_dir)
        if is_listening(path):
            return socket_url(path)
    url = _configured_url(settings, option)
    if settings.redis_password_file is None or has_password(url):
        return url
    return with_password_file(url, settings.redis_password_file)


def _configured_url(settings: Settings, option: str | None) -> str:
    for name, url in (("--redis-url", option), ("REDIS_URL", settings.redis_url)):
        if url is not None:
            _check_address(url, name)
            return url
    return DEFAULT_REDIS_URL


def _check_address(url: str, name: str) -> None:
    problem = find_address_problem(url)
    if problem is not None:
        found, hint = problem
        raise UsageError(f"{name}: found {redact_url(url)!r}{found}", hint=hint)


def socket_path(data_dir: Path) -> Path:
    """Returns the absolute path of the private server's socket for ``data_dir``.

    It is DATA_DIR/redis/redis.sock if that path fits into a socket address and needs no encoding in a URL. Otherwise
    it is in a folder of /tmp that only the owner of DATA_DIR/redis can write, derived from the path alone, so that
    every process finds the same socket whatever its environment and working folder.
    """
    folder = (data_dir.resolve() / "redis").resolve()
    path = folder / SOCKET_NAME
    if len(os.fsencode(path)) <= SOCKET_PATH_BYTES and _UNENCODED_PATH.fullmatch(str(path)):
        return path
    owner = folder.stat().st_uid if folder.exists() else os.geteuid()
    name = hashlib.sha256(os.fsencode(folder)).hexdigest()[:16]
    return _TMP / f"previewops-{owner}" / f"{name}.sock"


def socket_url(path: Path) -> str:
    """Returns the ``unix://`` address of the socket at the absolute ``path``."""
    return "unix://" + quote(str(path))


def is_listening(path: Path) -> bool:
    """Whether a Redis server listens on the socket at ``path``. Takes at most ``PROBE_TIMEOUT_S``.

    A server that accepts but does not reply in time counts as listening: it is stopped or busy, and the operator
    should see that error rather than be connected to another address.
    """
    reply = ping_socket(path)
    return reply is not None and (reply == b"" or reply[:1] in b"+-")


def ping_socket(path: Path, timeout_s: float = PROBE_TIMEOUT_S) -> bytes | None:
    """Sends an inline PING to the server on the socket at ``path`` and returns its reply.

    Returns:
        The first line of the reply without its line end; ``b""`` if the server accepted but did not reply within
        ``timeout_s`` seconds; None if nothing listens or others can write to the socket's folder.
    """
    if not _is_private(path.parent):
        return None
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(timeout_s)
        try:
            probe.connect(os.fsencode(path))
        except OSError:
            return None
        try:
            probe.sendall(b"PING\r\n")
            return probe.recv(256).split(b"\r\n", 1)[0]
        except OSError:
            return b""


def _is_private(folder: Path) -> bool:
    """Whether only its owner or root can have put a socket into ``folder``.

    Anybody can create a folder of the expected name in /tmp.
    """
    try:
        status = folder.lstat()
    except OSError:
        return False
    return (
        stat.S_ISDIR(status.st_mode)
        and not status.st_mode & 0o022
        and (folder.parent != _TMP or folder.name == f"previewops-{status.st_uid}")
    )


class PoolOptions(TypedDict, total=False):
    """Connection options. Parameters in the address (``?socket_timeout=…``) take precedence.

    ``connect_timeout_s`` limits connecting, in seconds, and ``socket_timeout_s`` each read and write, so blocking
    commands must block for less. A connection idle for ``health_check_s`` seconds is checked by a PING before use.
    ``max_connections`` limits the pool; without it the client's own limit applies.
    """

    connect_timeout_s: float
    socket_timeout_s: float
    health_check_s: float
    max_connections: int


def connection_pool(url: str, *, role: str, **options: Unpack[PoolOptions]) -> PrimaryPool:
    """Creates a connection pool for ``url``, named ``previewops-<role>`` in CLIENT LIST. Replies are bytes.

    For callers that need another client class than :func:`connect` returns, such as arq.

    Args:
        url: a redis://, rediss:// or unix:// address, or one of Sentinels, which are asked for each connection.
        role: the kind of client: ``worker``, ``cli``, …
        options: see :class:`PoolOptions`.

    Raises:
        UsageError: the address cannot be parsed.
    """
    from previewops.redis_server.pool import PrimaryPool  # noqa: PLC0415 - start-up time of commands without Redis

    _check_address(url, "Redis address")
    parameters: dict[str, Any] = {
        "socket_connect_timeout": options.get("connect_timeout_s", CONNECT_TIMEOUT_S),
        "socket_timeout": options.get("socket_timeout_s", SOCKET_TIMEOUT_S),
        "health_check_interval": options.get("health_check_s", HEALTH_CHECK_S),
        "client_name": f"previewops-{role}",
        "decode_responses": False,
        # Saves two round trips per connection; servers before 7.2 reject the command anyway.
        "lib_name": None,
        "lib_version": None,
    }
    if "max_connections" in options:
        parameters["max_connections"] = options["max_connections"]
    if is_sentinel_address(url):
        sentinels = split_sentinel_address(url)
        parameters["sentinels"], url = sentinels, sentinels.server_url
    if not url.startswith("unix:"):
        parameters["socket_keepalive"] = True
    if url.startswith("rediss:"):
        # By default the client accepts a valid certificate of any host.
        parameters["ssl_check_hostname"] = True
    url, credentials = split_password_file(url)
    if credentials is not None:
        parameters["credential_provider"] = credentials
    try:
        return PrimaryPool.from_url(url, **parameters)
    except ValueError as error:
        raise UsageError(
            f"Redis address: found {redact_url(url)!r}, which cannot be used: {error}",
            hint="allowed: redis://[user:password@]host[:port][/database], rediss://… or unix:///path",
        ) from None


def connect(url: str, *, role: str, **options: Unpack[PoolOptions]) -> Redis:
    """Creates a client for ``url`` that owns its pool: ``await client.aclose()`` closes everything.

    Nothing is sent before the first command. Arguments and errors are those of :func:`connection_pool`.
    """
    from redis.asyncio import Redis  # noqa: PLC0415 - start-up time of commands without Redis

    return Redis.from_pool(connection_pool(url, role=role, **options))


@asynccontextmanager
async def redis_errors(url: str) -> AsyncIterator[None]:
    """Translates Redis failures inside the block into RedisUnavailable. Also usable as a decorator.

    Other errors, such as an error in a script, pass through.

    Raises:
        RedisUnavailable: Redis cannot be reached, rejects the login, or cannot store.
        ForeignKey: a key that every operation needs has another type.
        LayoutUnsupported: a newer build wrote the queue's data.
    """
    from redis.exceptions import RedisError  # noqa: PLC0415 - start-up time of commands without Redis

    try:
        yield
    except (RedisError, OSError) as error:
        stored = stored_data_error(error)
        if stored is not None:
            raise stored from error
        reason = unavailable_reason(error)
        if reason is None:
            raise
        raise RedisUnavailable(redact_url(url), reason) from error


NEWER_LAYOUT = "NEWERLAYOUT "
"""Begins the error of a script that found data of a newer layout; queue, its layout and the supported one follow."""

FOREIGN_KEY = "FOREIGNKEY "
"""Begins the error of a script that needs a key of another type; the key, its type and the allowed type follow."""

_WRONG_TYPE = "WRONGTYPE "


def stored_data_error(error: BaseException) -> ForeignKey | LayoutUnsupported | None:
    """Returns the error of a script that cannot use the queue's data; None for other errors."""
    _, mark, rest = str(error).partition(FOREIGN_KEY)
    if mark:
        return ForeignKey(*rest.split()[:3])
    _, mark, rest = str(error).partition(NEWER_LAYOUT)
    if not mark:
        return None
    queue_name, found, supported = rest.split()[:3]
    return LayoutUnsupported(queue_name, int(found), int(supported))


def describe_failure(error: BaseException) -> str:
    """Returns why a call to Redis failed, for an operator. The client's own text for bugs and unknown replies."""
    stored = stored_data_error(error)
    return stored.message if stored is not None else unavailable_reason(error) or str(error)


def is_wrong_type(error: BaseException) -> bool:
    """Whether a command failed because its key has another type."""
    return _WRONG_TYPE in str(error)
