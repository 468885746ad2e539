"""Repeats calls while Redis is unavailable, with capped exponential backoff."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeAlias, TypeVar

import structlog
from redis.exceptions import ResponseError

from previewops.backoff import Backoff
from previewops.clock import Rng
from previewops.redis_server.connection import FOREIGN_KEY, describe_failure, stored_data_error
from previewops.redis_server.failures import classify

T = TypeVar("T")
log = structlog.get_logger()

REDIS_BACKOFF_S = Backoff(0.05, 1.0)
"""Because of its maximum a worker resumes at most two seconds after Redis is back, as documented."""


ANOTHER_PRIMARY_PAUSE_S = 0.05
"""Longest pause after another primary was named, random: all workers learn of it at the same moment."""

WaitForAnotherPrimary: TypeAlias = Callable[[float], Awaitable[bool]]
"""Waits that many seconds, or until another primary is named; returns whether it was."""


async def wait_for_timeout(timeout_s: float) -> bool:
    """Waits, and returns False: nobody names another primary."""
    await asyncio.sleep(timeout_s)
    return False


def is_temporary(error: BaseException, *, first_contact: bool = False) -> bool:
    """Whether the same call may succeed later: Redis recovers, or an operator moves aside a key of another type.

    ``first_contact``: this login has not worked yet, so its rejection is an error. Later, it is an outage: the
    password is being changed, or the server has restarted with another configuration.
    """
    return FOREIGN_KEY in str(error) or classify(error).is_temporary(logged_in_before=not first_contact)


def is_survivable(error: BaseException) -> bool:
    """Whether a registered worker keeps trying after ``error``.

    That includes every error reply of a script: the data may be damaged, and an operator can repair it while the
    worker runs.
    """
    return is_temporary(error) or isinstance(error, ResponseError)


class FailureLog:
    """Logs failures in a row at the 1st, 2nd, 4th, 8th …: an hour without Redis logs 13 lines, not 3,600."""

    def __init__(self) -> None:
        self.failures = 0

    def add(self, error: Exception) -> None:
        """Counts a failure, and logs it if it is time."""
        self.failures += 1
        if self.failures & (self.failures - 1) == 0:
            stored = stored_data_error(error)
            if stored is not None:
                log.error(
                    "queue.data-damaged", error=f"{stored.message} ({stored.hint})", failures=self.failures
                )
            elif is_temporary(error):
                log.warning("redis.unavailable", error=describe_failure(error), failures=self.failures)
            else:
                log.error("queue.call-failed", error=str(error), failures=self.failures)

    def reset(self) -> None:
        """Ends the row, and logs that if there was one."""
        if self.failures:
            log.info("redis.available", failures=self.failures)
        self.failures = 0


async def retry_until_connected(
    call: Callable[[], Awaitable[T]],
    rng: Rng,
    *,
    first_contact: bool = False,
    wait: WaitForAnotherPrimary = wait_for_timeout,
) -> T:
    """Repeats ``call`` until Redis answers, and returns its result. Raises errors that a retry cannot fix.

    ``first_contact`` is that of ``is_temporary``. A delay ends when ``wait`` returns that another primary was named.
    """
    failed, since_change = FailureLog(), 0
    while True:
        try:
            reply = await call()
        except Exception as error:
            if not is_temporary(error, first_contact=first_contact):
                raise
            failed.add(error)
            since_change += 1
        else:
            failed.reset()
            return reply
        if await wait(REDIS_BACKOFF_S.delay(since_change, rng)):
            since_change = 0
            await asyncio.sleep(rng.uniform(0, ANOTHER_PRIMARY_PAUSE_S))
