"""What becomes of a job after a failure. Pure: the same answer for the same numbers and the same dice."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from previewops.clock import Random
from previewops.errors import FailureKind


class Counter(StrEnum):
    """Which of a job's two counters a failure spends."""

    ATTEMPTS = "attempts"
    CRASHES = "crashes"


class Cause(StrEnum):
    """Why a job is in the dead-letter queue."""

    PERMANENT = "permanent"
    ATTEMPTS = "attempts"
    CRASHES = "crashes"


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """The bounds: attempts and crashes as counts, delays in ms."""

    max_attempts: int
    max_crashes: int
    backoff_base_ms: int
    backoff_max_ms: int


@dataclass(frozen=True, slots=True)
class Again:
    """Run it again after ``delay_ms``."""

    counter: Counter
    delay_ms: int


@dataclass(frozen=True, slots=True)
class Dead:
    """Keep it for a person to look at."""

    counter: Counter
    cause: Cause


def backoff_ms(failures: int, policy: RetryPolicy, dice: Random) -> int:
    """Delay in ms after the ``failures``-th failure in a row (1 is the first).

    Capped exponential backoff with full jitter, uniform over [0, min(cap, base · 2^(failures-1))], after
    M. Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015.
    """
    # Beyond 2^40 the cap has long since won, and a float would overflow.
    bound = min(policy.backoff_max_ms, policy.backoff_base_ms * 2 ** min(failures - 1, 40))
    return round(dice.uniform(0, bound))


def after_failure(kind: FailureKind, attempts_before: int, policy: RetryPolicy, dice: Random) -> Again | Dead:
    """What to do after an attempt failed with an exception; ``attempts_before`` had failed earlier."""
    if kind is FailureKind.PERMANENT:
        return Dead(Counter.ATTEMPTS, Cause.PERMANENT)
    attempts = attempts_before + 1
    if attempts >= policy.max_attempts:
        return Dead(Counter.ATTEMPTS, Cause.ATTEMPTS)
    return Again(Counter.ATTEMPTS, backoff_ms(attempts, policy, dice))


def after_crash(crashes_before: int, policy: RetryPolicy, dice: Random) -> Again | Dead:
    """What to do after the render process died under the job; ``crashes_before`` happened earlier."""
    crashes = crashes_before + 1
    if crashes >= policy.max_crashes:
        return Dead(Counter.CRASHES, Cause.CRASHES)
    return Again(Counter.CRASHES, backoff_ms(crashes, policy, dice))
