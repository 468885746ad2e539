"""Repeated calls and their delays."""

from __future__ import annotations

import pytest
from redis.exceptions import AuthenticationError
from redis.exceptions import ConnectionError as RedisConnectionError

from previewops.worker.engine.redis_retry import (
    ANOTHER_PRIMARY_PAUSE_S,
    REDIS_BACKOFF_S,
    retry_until_connected,
)


class MaxRng:
    """Always returns the upper bound."""

    def __init__(self, upper: bool = True) -> None:
        self._upper = upper

    def uniform(self, a: float, b: float) -> float:
        return b if self._upper else a


def test_delays_double_up_to_a_limit_with_bounded_jitter() -> None:
    longest = [REDIS_BACKOFF_S.delay(failures, MaxRng()) for failures in range(1, 9)]
    shortest = [REDIS_BACKOFF_S.delay(failures, MaxRng(upper=False)) for failures in range(1, 9)]
    assert longest == [0.05, 0.1, 0.2, 0.4, 0.8, 1.0, 1.0, 1.0]
    assert shortest == [pause / 2 for pause in longest]
    assert REDIS_BACKOFF_S.delay(10_000, MaxRng()) == 1.0


async def test_a_call_is_repeated_until_it_succeeds() -> None:
    failures = [RedisConnectionError("lost")] * 3

    async def call() -> str:
        if failures:
            raise failures.pop()
        return "through"

    class Impatient:
        def uniform(self, a: float, b: float) -> float:
            return 0.0

    assert await retry_until_connected(call, Impatient()) == "through"
    assert not failures


async def test_a_permanent_error_is_raised_at_once() -> None:
    calls = 0

    async def call() -> None:
        nonlocal calls
        calls += 1
        raise ValueError("a bug")

    with pytest.raises(ValueError, match="a bug"):
        await retry_until_connected(call, MaxRng())
    assert calls == 1


async def test_a_rejected_login_is_an_outage_once_it_has_worked() -> None:
    failures = [AuthenticationError("invalid password")] * 2

    async def call() -> str:
        if failures:
            raise failures.pop()
        return "through"

    with pytest.raises(AuthenticationError):
        await retry_until_connected(call, MaxRng(), first_contact=True)
    assert await retry_until_connected(call, MaxRng()) == "through"


async def test_another_primary_ends_the_delay_and_restarts_the_backoff() -> None:
    failures = [RedisConnectionError("lost")] * 5
    delays, pauses = [], []

    class Recording:
        def uniform(self, a: float, b: float) -> float:
            pauses.append(b)
            return 0.0 if b == ANOTHER_PRIMARY_PAUSE_S and a == 0 else b

    async def call() -> str:
        if failures:
            raise failures.pop()
        return "through"

    async def wait(timeout_s: float) -> bool:
        delays.append(timeout_s)
        return len(delays) == 3

    assert await retry_until_connected(call, Recording(), wait=wait) == "through"
    assert delays == [0.05, 0.1, 0.2, 0.05, 0.1]
    assert pauses == [0.05, 0.1, 0.2, ANOTHER_PRIMARY_PAUSE_S, 0.05, 0.1]
