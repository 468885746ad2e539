"""Clock and random-number protocols, so that tests can replace them."""

from __future__ import annotations

import random
import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """Wall time in ms since the epoch, and monotonic time in seconds."""

    def now_ms(self) -> int:
        """Wall clock, milliseconds since 1970-01-01 UTC. For labels only: leases use the Redis server's."""

    def monotonic(self) -> float:
        """Seconds from an arbitrary start that never go backwards."""


class SystemClock:
    """The system's clocks."""

    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000

    def monotonic(self) -> float:
        return time.monotonic()


class Rng(Protocol):
    """The random source of the policies."""

    def uniform(self, a: float, b: float) -> float:
        """Returns a uniform float in [a, b]."""


def system_rng() -> Rng:
    """Returns a random source seeded by the operating system."""
    return random.SystemRandom()


MAX_DATE_MS = 253_402_300_799_000
"""End of the year 9999 in ms since the epoch, the latest date that RFC 3339 can express."""


def iso_from_ms(ms: int) -> str:
    """Formats ms since the epoch as RFC 3339 in UTC with ms precision, capped at the year 9999."""
    moment = datetime.fromtimestamp(min(ms, MAX_DATE_MS) / 1000, tz=UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def optional_iso(ms: int | None) -> str | None:
    """Formats ms since the epoch like ``iso_from_ms``; None stays None."""
    return None if ms is None else iso_from_ms(ms)
