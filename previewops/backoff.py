"""Capped exponential backoff: how long to wait after a failure. Pure, with the random numbers passed in.

After M. Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015.
"""

from __future__ import annotations

from dataclasses import dataclass

from previewops.clock import Rng


@dataclass(frozen=True, slots=True)
class Backoff:
    """Delays that double with each failure in a row, from ``first`` up to ``maximum``, in the caller's unit.

    ``jitter`` is the random share of a delay: 0.5 leaves the lower half fixed, so nothing is retried in a hot loop;
    with 1 a delay may be 0.
    """

    first: float
    maximum: float
    jitter: float = 0.5

    def longest(self, failures: int) -> float:
        """Returns the longest delay after the ``failures``-th failure in a row (1 is the first)."""
        # The maximum applies long before 2^40, and a float would overflow.
        return min(self.maximum, self.first * 2.0 ** min(max(0, failures - 1), 40))

    def delay(self, failures: int, rng: Rng) -> float:
        """Returns the delay after the ``failures``-th failure in a row, with jitter."""
        longest = self.longest(failures)
        return rng.uniform(longest * (1 - self.jitter), longest)
