"""When a healthy worker is to be replaced, so that leaks stay small. Pure.

Every worker draws limits of its own, so that a fleet that was started at once is not replaced at once.
"""

from __future__ import annotations

from dataclasses import dataclass

from previewops.clock import Rng

JITTER = 0.2
"""A limit is drawn from the last fifth below what is configured."""


@dataclass(frozen=True, slots=True)
class RecycleLimits:
    """Resident memory in bytes, jobs, and age in seconds that a worker may come to. None: any."""

    rss_bytes: float | None = None
    jobs: float | None = None
    age_s: float | None = None

    def jittered(self, rng: Rng) -> RecycleLimits:
        """The limits of one worker."""
        return RecycleLimits(_drawn(self.rss_bytes, rng), _drawn(self.jobs, rng), _drawn(self.age_s, rng))


def _drawn(limit: float | None, rng: Rng) -> float | None:
    return None if limit is None else limit * rng.uniform(1 - JITTER, 1)


def recycle_reason(limits: RecycleLimits, *, rss_bytes: int, jobs: int, age_s: float) -> str | None:
    """Why a worker is to be replaced, or None."""
    if limits.rss_bytes is not None and rss_bytes >= limits.rss_bytes:
        return f"it holds {rss_bytes / 2**20:.0f} MiB"
    if limits.jobs is not None and jobs >= limits.jobs:
        return f"it has done {jobs} jobs"
    if limits.age_s is not None and age_s >= limits.age_s:
        return f"it is {age_s / 3600:.1f} h old"
    return None
