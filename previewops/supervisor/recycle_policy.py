"""When a healthy worker is replaced, so that leaks stay small. Pure.

Every worker gets limits with jitter, so workers that were started together are not replaced together.
"""

from __future__ import annotations

from dataclasses import dataclass

from previewops.clock import Rng

JITTER = 0.2
"""A limit is chosen from the last fifth below the configured one."""


@dataclass(frozen=True, slots=True)
class RecycleLimits:
    """Maximum resident memory in bytes, jobs and age in seconds of a worker. None means no limit."""

    rss_bytes: float | None = None
    jobs: float | None = None
    age_s: float | None = None

    def jittered(self, rng: Rng) -> RecycleLimits:
        """Returns the limits of one worker."""
        limits = (self.rss_bytes, self.jobs, self.age_s)
        return RecycleLimits(
            *(None if limit is None else limit * rng.uniform(1 - JITTER, 1) for limit in limits)
        )


def recycle_reason(limits: RecycleLimits, *, rss_bytes: int, jobs: int, age_s: float) -> str | None:
    """Returns why a worker is replaced, or None."""
    if limits.rss_bytes is not None and rss_bytes >= limits.rss_bytes:
        return f"it uses {rss_bytes / 2**20:.0f} MiB"
    if limits.jobs is not None and jobs >= limits.jobs:
        return f"it has run {jobs} jobs"
    if limits.age_s is not None and age_s >= limits.age_s:
        return f"it is {age_s / 3600:.1f} h old"
    return None
