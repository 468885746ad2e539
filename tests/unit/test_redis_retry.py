"""Which errors of Redis are retried, and the delays."""

from __future__ import annotations

import pytest
from redis._parsers.base import BaseParser
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from previewops.worker.engine.redis_retry import (
    MAX_DELAY_S,
    is_temporary,
    retry_delay_s,
    retry_until_connected,
)


class MaxRng:
    """Always returns the upper bound."""

    def __init__(self, upper: bool = True) -> None:
        self._upper = upper

    def uniform(self, a: float, b: float) -> float:
        return b if self._upper else a


@pytest.mark.parametrize(
    "reply",
    [
        "OOM command not allowed when used memory > 'maxmemory'.",
        "ERR Error running script: @user_script:1: -OOM command not allowed",
        "MISCONF Redis is configured to save RDB snapshots",
        "MASTERDOWN Link with MASTER is down",
        "NOREPLICAS Not enough good replicas to write.",
        "CLUSTERDOWN The cluster is down",
        "TRYAGAIN Multiple keys request during rehashing of slot",
        "BUSY Redis is busy running a script.",
        "LOADING Redis is loading the dataset in memory",
        "READONLY You can't write against a read only replica.",
        "ERR max number of clients reached",
    ],
)
def test_temporary_replies(reply: str) -> None:
    assert is_temporary(BaseParser.parse_error(reply))


@pytest.mark.parametrize(
    "reply",
    [
        "NOAUTH Authentication required.",
        "WRONGPASS invalid username-password pair",
        "NOPERM this user has no permissions to run the 'evalsha' command",
        "WRONGTYPE Operation against a key holding the wrong kind of value",
        "ERR user_script:1: attempt to concatenate a nil value",
    ],
)
def test_other_replies_are_permanent(reply: str) -> None:
    error = BaseParser.parse_error(reply)
    assert not is_temporary(error)
    hidden = RedisConnectionError(error)
    hidden.__cause__ = error
    assert not is_temporary(hidden), "the handshake met it"


@pytest.mark.parametrize(
    "error",
    [
        RedisConnectionError("lost"),
        RedisTimeoutError("late"),
        ConnectionResetError(),
        TimeoutError(),
        OSError(5),
    ],
)
def test_connection_errors_are_temporary(error: Exception) -> None:
    assert is_temporary(error)


@pytest.mark.parametrize("error", [ValueError(), TypeError(), RuntimeError()])
def test_bugs_are_permanent(error: Exception) -> None:
    assert not is_temporary(error)


def test_delays_double_up_to_a_limit_with_bounded_jitter() -> None:
    longest = [retry_delay_s(failures, MaxRng()) for failures in range(1, 9)]
    shortest = [retry_delay_s(failures, MaxRng(upper=False)) for failures in range(1, 9)]
    assert longest == [0.05, 0.1, 0.2, 0.4, 0.8, MAX_DELAY_S, MAX_DELAY_S, MAX_DELAY_S]
    assert shortest == [pause / 2 for pause in longest]
    assert retry_delay_s(10_000, MaxRng()) == MAX_DELAY_S


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
