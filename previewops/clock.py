"""Time and randomness as things that are handed in, so that policies are tested without waiting."""

from __future__ import annotations

import random
import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """Wall time in ms since the epoch, and monotonic time in seconds."""

    def now_ms(self) -> int:
        """Wall clock, milliseconds since 1970-01-01 UTC. For labels only: leases use the Redis server's."""
        ...

    def monotonic(self) -> float:
        """Seconds from an arbitrary start that never go backwards."""
        ...


class SystemClock:
    """The machine's clocks."""

    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000

    def monotonic(self) -> float:
        return time.monotonic()


class Rng(Protocol):
    """The one thing the policies ask of a random source."""

    def uniform(self, a: float, b: float) -> float:
        """A float drawn evenly from [a, b]."""
        ...


def system_rng() -> Rng:
    """A random source seeded by the operating system."""
    return random.SystemRandom()


MAX_DATE_MS = 253_402_300_799_000
"""The end of the year 9999 in ms since the epoch: what a date can still say."""


def iso_from_ms(ms: int) -> str:
    """Milliseconds since the epoch as RFC 3339 in UTC with millisecond precision; at the most the year 9999."""
    moment = datetime.fromtimestamp(min(ms, MAX_DATE_MS) / 1000, tz=UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
