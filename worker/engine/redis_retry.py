"""Repeats calls while Redis is unavailable, with a capped exponential delay."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import structlog

from previewops.clock import Rng
from previewops.redis_server.failures import classify

T = TypeVar("T")
log = structlog.get_logger()

FIRST_DELAY_S = 0.05
MAX_DELAY_S = 1.0


def retry_delay_s(failures: int, rng: Rng) -> float:
    """Seconds to wait after the ``failures``-th consecutive failure: doubling, capped, with jitter in the upper half.

    Because of the cap a worker resumes at most two seconds after Redis is back, as documented.
    """
    limit_s = min(MAX_DELAY_S, FIRST_DELAY_S * 2 ** min(failures - 1, 10))
    return rng.uniform(limit_s / 2, limit_s)


async def retry_until_connected(
    call: Callable[[], Awaitable[T]], rng: Rng, *, first_contact: bool = False
) -> T:
    """Repeats ``call`` until Redis answers, and returns its result. Raises errors that a retry cannot fix.

    Args:
        call: calls Redis.
        rng: source of the jitter.
        first_contact: this login has not worked yet, so its rejection is an error. Later, it is an outage: the
            password is being changed, or the server has restarted with another configuration.
    """
    failures = 0
    while True:
        try:
            result = await call()
        except Exception as error:
            if not classify(error).is_temporary(logged_in_before=not first_contact):
                raise
            failures += 1
            # The first failure, then at doubling counts: an hour without Redis logs 13 lines, not 3,600.
            if failures & (failures - 1) == 0:
                log.warning("redis.unavailable", error=str(error), failures=failures)
        else:
            if failures:
                log.info("redis.available", failures=failures)
            return result
        await asyncio.sleep(retry_delay_s(failures, rng))
