"""Repeats calls while Redis is unavailable, with a capped exponential delay."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import structlog
from redis import exceptions

from previewops.clock import Rng

T = TypeVar("T")
log = structlog.get_logger()

FIRST_DELAY_S = 0.05
MAX_DELAY_S = 1.0

# redis-py strips the first word of a reply that it has a class for, and keeps it on others. Servers before 7.0 quote
# an error inside a script in the middle of the reply.
_TEMPORARY_ERRORS = (
    exceptions.ConnectionError,  # BusyLoadingError is one
    exceptions.TimeoutError,
    exceptions.OutOfMemoryError,
    exceptions.ReadOnlyError,
    exceptions.ClusterDownError,  # MasterDownError is one
    exceptions.TryAgainError,
    OSError,
)
_TEMPORARY_REPLIES = ("OOM ", "MISCONF ", "MASTERDOWN ", "NOREPLICAS ", "CLUSTERDOWN ", "TRYAGAIN ", "BUSY ")


def is_temporary(error: BaseException) -> bool:
    """Whether the same call may succeed later: Redis is away, loading, failing over or out of memory."""
    if isinstance(error, exceptions.AuthenticationError):
        return False
    if isinstance(error, exceptions.ConnectionError) and isinstance(error.__cause__, exceptions.RedisError):
        # The client hides an error of the handshake, such as a wrong password, in a lost connection.
        return is_temporary(error.__cause__)
    if isinstance(error, _TEMPORARY_ERRORS):
        return True
    return isinstance(error, exceptions.ResponseError) and any(
        mark in str(error) for mark in _TEMPORARY_REPLIES
    )


def retry_delay_s(failures: int, rng: Rng) -> float:
    """Seconds to wait after the ``failures``-th consecutive failure: doubling, capped, with jitter in the upper half.

    Because of the cap a worker resumes at most two seconds after Redis is back, as documented.
    """
    limit_s = min(MAX_DELAY_S, FIRST_DELAY_S * 2 ** min(failures - 1, 10))
    return rng.uniform(limit_s / 2, limit_s)


async def retry_until_connected(call: Callable[[], Awaitable[T]], rng: Rng) -> T:
    """Repeats ``call`` until Redis answers, and returns its result. Raises errors that a retry cannot fix."""
    failures = 0
    while True:
        try:
            reply = await call()
            if failures:
                log.info("redis.available", failures=failures)
            return reply
        except Exception as error:
            if not is_temporary(error):
                raise
            failures += 1
            # The first failure, then at doubling counts: an hour without Redis logs 13 lines, not 3,600.
            if failures & (failures - 1) == 0:
                log.warning("redis.unavailable", error=str(error), failures=failures)
        await asyncio.sleep(retry_delay_s(failures, rng))
