"""Retry policy: what happens to a job after a failure. Pure: equal inputs and equal ``rng`` give equal decisions."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from previewops.backoff import Backoff
from previewops.clock import Rng
from previewops.job_errors import FailureKind


class FailureCounter(StrEnum):
    """Which of a job's two failure counters a failure increments."""

    ATTEMPTS = "attempts"
    CRASHES = "crashes"


class DeadLetterCause(StrEnum):
    """Why a job is in the dead-letter queue."""

    PERMANENT = "permanent"
    ATTEMPTS = "attempts"
    CRASHES = "crashes"


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Limits: attempts and crashes as counts, delays in ms."""

    max_attempts: int
    max_crashes: int
    backoff_base_ms: int
    backoff_max_ms: int


@dataclass(frozen=True, slots=True)
class Retry:
    """Decision: run the job again after ``delay_ms``."""

    counter: FailureCounter
    delay_ms: int


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """Decision: move the job to the dead-letter queue."""

    counter: FailureCounter
    cause: DeadLetterCause


def backoff_ms(failures: int, policy: RetryPolicy, rng: Rng) -> int:
    """Returns the delay in ms after the ``failures``-th failure in a row (1 is the first).

    With full jitter: uniform over [0, min(maximum, base · 2^(failures-1))].
    """
    return round(Backoff(policy.backoff_base_ms, policy.backoff_max_ms, jitter=1.0).delay(failures, rng))


def decide_after_failure(
    kind: FailureKind, attempts_before: int, policy: RetryPolicy, rng: Rng
) -> Retry | DeadLetter:
    """Decides what happens after an exception; ``attempts_before`` attempts had failed earlier."""
    if kind is FailureKind.PERMANENT:
        return DeadLetter(FailureCounter.ATTEMPTS, DeadLetterCause.PERMANENT)
    attempts = attempts_before + 1
    if attempts >= policy.max_attempts:
        return DeadLetter(FailureCounter.ATTEMPTS, DeadLetterCause.ATTEMPTS)
    return Retry(FailureCounter.ATTEMPTS, backoff_ms(attempts, policy, rng))


def decide_after_crash(crashes_before: int, policy: RetryPolicy, rng: Rng) -> Retry | DeadLetter:
    """Decides what happens after a crash of the render process; ``crashes_before`` crashes happened earlier."""
    crashes = crashes_before + 1
    if crashes >= policy.max_crashes:
        return DeadLetter(FailureCounter.CRASHES, DeadLetterCause.CRASHES)
    return Retry(FailureCounter.CRASHES, backoff_ms(crashes, policy, rng))
