"""Keeping at it while Redis is away: the same call again until it gets through."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import structlog
from redis.exceptions import (
    AuthenticationError,
    ClusterDownError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
    ResponseError,
    TryAgainError,
)
from redis.exceptions import (
    ConnectionError as RedisConnectionError,
)
from redis.exceptions import (
    TimeoutError as RedisTimeoutError,
)

from previewops.clock import Rng

T = TypeVar("T")
log = structlog.get_logger()

FIRST_DELAY_S = 0.05
MAX_DELAY_S = 1.0

# The client takes the first word off a reply that it has a class for, and leaves it on the others. What a script
# met is quoted in the middle of the reply by servers before 7.0.
_TEMPORARY_ERRORS = (
    RedisConnectionError,  # BusyLoadingError is one
    RedisTimeoutError,
    OutOfMemoryError,
    ReadOnlyError,
    ClusterDownError,  # MasterDownError is one
    TryAgainError,
    OSError,
)
_TEMPORARY_REPLIES = ("OOM ", "MISCONF ", "MASTERDOWN ", "NOREPLICAS ", "CLUSTERDOWN ", "TRYAGAIN ", "BUSY ")


def is_temporary(error: BaseException) -> bool:
    """Whether Redis may answer the same call later: away, loading, failing over, or out of room."""
    if isinstance(error, AuthenticationError):
        return False
    if isinstance(error, RedisConnectionError) and isinstance(error.__cause__, RedisError):
        # The client hides what the server refused during the handshake, a password say, in a lost connection.
        return is_temporary(error.__cause__)
    if isinstance(error, _TEMPORARY_ERRORS):
        return True
    return isinstance(error, ResponseError) and any(mark in str(error) for mark in _TEMPORARY_REPLIES)


def retry_delay_s(failures: int, rng: Rng) -> float:
    """Seconds to wait after the ``failures``-th failure in a row: doubling, capped, at least half of it waited.

    The cap keeps a worker within its promise to work again at most two seconds after Redis is back.
    """
    limit_s = min(MAX_DELAY_S, FIRST_DELAY_S * 2 ** min(failures - 1, 10))
    return rng.uniform(limit_s / 2, limit_s)


async def retry_until_connected(call: Callable[[], Awaitable[T]], rng: Rng) -> T:
    """Calls until the call gets through, logging that it had to.

    Raises:
        Exception: an error that trying again cannot heal.
    """
    failures = 0
    while True:
        try:
            return await call()
        except Exception as error:
            if not is_temporary(error):
                raise
            failures += 1
            # The first, then ever rarer: an hour without Redis is not 3,600 lines.
            if failures & (failures - 1) == 0:
                log.warning("redis.unavailable", error=str(error), failures=failures)
        await asyncio.sleep(retry_delay_s(failures, rng))
