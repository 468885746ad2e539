"""Classification of Redis errors: why a call failed, and what makes the next one succeed.

Every caller uses it: worker, supervisor, API, clients, screen and command line. Importing this module does not import
the Redis client, so that commands without Redis start fast.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum, auto


class Recovery(StrEnum):
    """What makes a failed call succeed."""

    NONE = auto()
    """Nothing but a change of the address, the server's configuration or the program."""
    RETRY = auto()
    """The same call, later."""
    RECONNECT = auto()
    """The same call, later, over a new connection: this server is not the primary, so its name may lead elsewhere."""
    LOGIN = auto()
    """As RETRY if this login has worked before (its password is being changed); otherwise as NONE."""


@dataclass(frozen=True, slots=True)
class RedisFailure:
    """Why a call failed. ``reason`` completes "Redis cannot be used: …"; None if Redis is not the cause."""

    recovery: Recovery
    reason: str | None = None

    def is_temporary(self, *, logged_in_before: bool) -> bool:
        """Whether the same call may succeed later.

        Args:
            logged_in_before: the same login has worked in this process.
        """
        return self.recovery in (Recovery.RETRY, Recovery.RECONNECT) or (
            self.recovery is Recovery.LOGIN and logged_in_before
        )


UNKNOWN_SERVICE = "the sentinels know no service of this name"
"""Begins the error of a locator whose Sentinels have no such service; its name follows."""

SENTINELS_REJECT_LOGIN = "the sentinels reject the login"

_NOT_REDIS = RedisFailure(Recovery.NONE)
_TIMEOUT = RedisFailure(Recovery.RETRY, "it did not reply in time")
_OUT_OF_MEMORY = RedisFailure(Recovery.RETRY, "it is out of memory (maxmemory reached) and rejects writes")
_READ_ONLY = RedisFailure(Recovery.RECONNECT, "it is a read-only replica; use the primary")
_NO_PRIMARY = RedisFailure(Recovery.RECONNECT, "it is a replica that has lost its primary")
_DEMOTED = RedisFailure(Recovery.RECONNECT, "it is no longer the primary")
_LOADING = RedisFailure(Recovery.RETRY, "it is still loading its data; try again in a moment")
_CLUSTER_DOWN = RedisFailure(Recovery.RETRY, "its cluster is down")
_WRONG_LOGIN = RedisFailure(
    Recovery.LOGIN, "it requires a user name and password, or rejects those in the address"
)
_FORBIDDEN = RedisFailure(Recovery.LOGIN, "its user lacks a required permission")
_CLUSTER = RedisFailure(
    Recovery.NONE,
    "it is a node of a Redis Cluster, which is not supported; use a server without cluster mode",
)
_OTHER_PROTOCOL = RedisFailure(
    Recovery.RECONNECT, "its address leads to a server that does not speak the protocol of Redis"
)

# Client exceptions by name, because the client is imported late. The client strips the first word of these replies.
_CLIENT_ERRORS = (
    ("AuthenticationError", _WRONG_LOGIN),
    ("BusyLoadingError", _LOADING),
    ("OutOfMemoryError", _OUT_OF_MEMORY),
    ("ReadOnlyError", _READ_ONLY),
    ("NoPermissionError", _FORBIDDEN),
    ("AuthorizationError", _FORBIDDEN),
    ("MovedError", _CLUSTER),
    ("AskError", _CLUSTER),
    ("ClusterCrossSlotError", _CLUSTER),
    ("MasterDownError", _NO_PRIMARY),
    ("ClusterDownError", _CLUSTER_DOWN),
    ("TryAgainError", RedisFailure(Recovery.RETRY, "its cluster is moving keys")),
    ("TimeoutError", _TIMEOUT),
    ("InvalidResponse", _OTHER_PROTOCOL),
)

# Replies by their first word. A server before 7.0 quotes an error inside a script as "… -WORD text".
_REPLIES = {
    "OOM": _OUT_OF_MEMORY,
    "READONLY": _READ_ONLY,
    "UNBLOCKED": _DEMOTED,
    "MASTERDOWN": _NO_PRIMARY,
    "NOREPLICAS": RedisFailure(Recovery.RECONNECT, "it has too few replicas and rejects writes"),
    "LOADING": _LOADING,
    "MISCONF": RedisFailure(Recovery.RETRY, "it cannot write to its disk and rejects writes"),
    "BUSY": RedisFailure(
        Recovery.RETRY,
        "it is busy running another client's script; try again, or end the script with SCRIPT KILL",
    ),
    "TRYAGAIN": RedisFailure(Recovery.RETRY, "its cluster is moving keys"),
    "CLUSTERDOWN": _CLUSTER_DOWN,
    "MOVED": _CLUSTER,
    "ASK": _CLUSTER,
    "CROSSSLOT": _CLUSTER,
    "NOAUTH": _WRONG_LOGIN,
    "WRONGPASS": _WRONG_LOGIN,
    "NOPERM": _FORBIDDEN,
}
_REPLY_WORD = re.compile(rf"(?:^|-)({'|'.join(_REPLIES)})\s")

# Replies of the general kind ERR and errors of a locator, by a part of their text in lower case.
_GENERAL_REPLIES = (
    (
        UNKNOWN_SERVICE,
        RedisFailure(
            Recovery.LOGIN,
            "its Sentinels do not know the service of the address (`sentinel monitor` names it)",
        ),
    ),
    (
        SENTINELS_REJECT_LOGIN,
        RedisFailure(
            Recovery.LOGIN,
            "its Sentinels require a login or reject the one in sentinel_username and sentinel_password",
        ),
    ),
    (
        "max number of clients reached",
        RedisFailure(Recovery.RETRY, "it has reached its limit of clients (maxclients)"),
    ),
    # Inside a script, servers report a missing permission without the word NOPERM: before 7.2, and since.
    ("the user executing the script can't", _FORBIDDEN),
    ("acl failure in script", _FORBIDDEN),
    ("access a non local key in a cluster node", _CLUSTER),
    ("select is not allowed in cluster mode", _CLUSTER),
    (
        "db index is out of range",
        RedisFailure(
            Recovery.NONE, "it does not have the database of the address (`databases` in redis.conf)"
        ),
    ),
    (
        "unknown command",
        RedisFailure(
            Recovery.NONE,
            "it lacks a required command, as a Sentinel does; use the address of the primary, or redis+sentinel://…",
        ),
    ),
)

_SYSTEM_ERRORS: tuple[tuple[type[BaseException], RedisFailure], ...] = (
    (TimeoutError, _TIMEOUT),
    (
        ConnectionRefusedError,
        RedisFailure(Recovery.RETRY, "connection refused: no server listens at this address"),
    ),
    (FileNotFoundError, RedisFailure(Recovery.RETRY, "the socket does not exist")),
    (PermissionError, RedisFailure(Recovery.RETRY, "this user may not open the socket")),
    (socket.gaierror, RedisFailure(Recovery.RETRY, "unknown host name")),
)


def classify(error: BaseException) -> RedisFailure:
    """Classifies an error of a call to Redis. Bugs and unknown replies have recovery NONE and no reason."""
    from redis import exceptions  # noqa: PLC0415 - start-up time of commands without Redis

    client_errors = [(getattr(exceptions, name), failure) for name, failure in _CLIENT_ERRORS]
    if isinstance(error, exceptions.ConnectionError | ConnectionError):
        return _classify_connection_error(error, [*client_errors, *_SYSTEM_ERRORS])
    if isinstance(error, OSError) and not isinstance(error, TimeoutError):
        return RedisFailure(Recovery.RETRY)
    failure = _by_type(error, [*client_errors, (TimeoutError, _TIMEOUT)])
    if failure is None and isinstance(error, exceptions.ResponseError):
        failure = _by_reply(error)
    return failure or _NOT_REDIS


def unavailable_reason(error: BaseException) -> str | None:
    """Returns why Redis cannot be used, or None if ``error`` has another cause."""
    return classify(error).reason


def needs_new_connection(error: BaseException) -> bool:
    """Whether the server that sent this error is not the primary, so that its name must be resolved again."""
    return classify(error).recovery is Recovery.RECONNECT


def _classify_connection_error(
    error: BaseException, table: Iterable[tuple[type[BaseException], RedisFailure]]
) -> RedisFailure:
    """The client wraps every error while connecting, including a rejected password."""
    kinds = list(table)
    failures = (_by_type(link, kinds) or _by_reply(link) for link in _causes(error))
    first_line = str(error).strip().partition("\n")[0]
    unknown = RedisFailure(Recovery.RETRY, first_line or "the connection was lost")
    return next(filter(None, failures), unknown)


def _by_reply(error: BaseException) -> RedisFailure | None:
    text = str(error)
    word = _REPLY_WORD.search(text)
    if word is not None:
        return _REPLIES[word[1]]
    lowered = text.lower()
    return next((failure for mark, failure in _GENERAL_REPLIES if mark in lowered), None)


def _by_type(
    error: BaseException, table: Iterable[tuple[type[BaseException], RedisFailure]]
) -> RedisFailure | None:
    return next((failure for kind, failure in table if isinstance(error, kind)), None)


def _causes(error: BaseException) -> Iterator[BaseException]:
    link: BaseException | None = error
    while link is not None:
        yield link
        link = link.__cause__ or link.__context__
