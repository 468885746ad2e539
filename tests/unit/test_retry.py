"""Retry policy: which failures are retried, after which delay, and how often."""

from __future__ import annotations

import random
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from previewops.job_errors import FailureKind
from previewops.queue.retry import (
    DeadLetter,
    DeadLetterCause,
    FailureCounter,
    Retry,
    RetryPolicy,
    backoff_ms,
    decide_after_crash,
    decide_after_failure,
)

POLICY = RetryPolicy(max_attempts=5, max_crashes=3, backoff_base_ms=1_000, backoff_max_ms=300_000)

policies = st.builds(
    lambda attempts, crashes, base, more: RetryPolicy(attempts, crashes, base, base + more),
    st.integers(1, 1000),
    st.integers(1, 100),
    st.integers(1, 3_600_000),
    st.integers(0, 86_400_000),
)
seeds = st.integers().map(random.Random)


@dataclass
class UpperBoundRng:
    """Rng that returns the upper bound."""

    def uniform(self, a: float, b: float) -> float:
        assert a == 0, "full jitter starts at 0"
        return b


@given(failures=st.integers(1, 1_000_000), policy=policies, rng=seeds)
def test_backoff_lies_within_its_limits(failures: int, policy: RetryPolicy, rng: random.Random) -> None:
    delay = backoff_ms(failures, policy, rng)
    assert isinstance(delay, int)
    assert 0 <= delay <= policy.backoff_max_ms
    assert failures > 40 or delay <= policy.backoff_base_ms * 2 ** (failures - 1)


@given(failures=st.integers(1, 1_000_000), policy=policies)
def test_backoff_limit_doubles_up_to_the_cap(failures: int, policy: RetryPolicy) -> None:
    bound, following = (
        backoff_ms(failures, policy, UpperBoundRng()),
        backoff_ms(failures + 1, policy, UpperBoundRng()),
    )
    assert bound <= following <= policy.backoff_max_ms
    assert following == min(policy.backoff_max_ms, 2 * bound)


def test_backoff_limits_start_at_the_base() -> None:
    bounds = [backoff_ms(n, POLICY, UpperBoundRng()) for n in range(1, 12)]
    assert bounds == [1000, 2000, 4000, 8000, 16000, 32000, 64000, 128000, 256000, 300000, 300000]


def test_a_million_failures_do_not_overflow() -> None:
    assert backoff_ms(1_000_000, POLICY, UpperBoundRng()) == 300_000


def test_jitter_uses_the_full_range() -> None:
    rng = random.Random(7)
    delays = [backoff_ms(4, POLICY, rng) for _ in range(2_000)]
    assert min(delays) < 400
    assert max(delays) > 7_600
    assert 3_700 < sum(delays) / len(delays) < 4_300


@given(before=st.integers(0, 10_000), policy=policies, rng=seeds)
def test_permanent_failure_is_a_dead_letter_at_once(
    before: int, policy: RetryPolicy, rng: random.Random
) -> None:
    assert decide_after_failure(FailureKind.PERMANENT, before, policy, rng) == DeadLetter(
        FailureCounter.ATTEMPTS, DeadLetterCause.PERMANENT
    )


@given(policy=policies, rng=seeds)
def test_transient_failure_is_retried_up_to_max_attempts(policy: RetryPolicy, rng: random.Random) -> None:
    decisions = [
        decide_after_failure(FailureKind.TRANSIENT, n, policy, rng) for n in range(policy.max_attempts)
    ]
    assert all(isinstance(decision, Retry) for decision in decisions[:-1])
    assert decisions[-1] == DeadLetter(FailureCounter.ATTEMPTS, DeadLetterCause.ATTEMPTS)


@given(policy=policies, rng=seeds)
def test_crashes_are_limited_by_max_crashes(policy: RetryPolicy, rng: random.Random) -> None:
    decisions = [decide_after_crash(n, policy, rng) for n in range(policy.max_crashes)]
    assert all(
        isinstance(decision, Retry) and decision.counter is FailureCounter.CRASHES
        for decision in decisions[:-1]
    )
    assert decisions[-1] == DeadLetter(FailureCounter.CRASHES, DeadLetterCause.CRASHES)


@pytest.mark.parametrize("before", [5, 6, 1_000])
def test_lowered_limit_ends_jobs_above_it(before: int) -> None:
    assert decide_after_failure(FailureKind.TRANSIENT, before, POLICY, UpperBoundRng()) == DeadLetter(
        FailureCounter.ATTEMPTS, DeadLetterCause.ATTEMPTS
    )
