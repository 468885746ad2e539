"""Rounds of a measurement within a time that is set beforehand, so that a busy machine gets fewer of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator


def rounds(
    most: int, seconds: float, *, least: int = 1, clock: Callable[[], float] = time.monotonic
) -> Iterator[int]:
    """Yields the number of each round, from 0: at least ``least``, at most ``most``.

    Stops before a round that would end after ``seconds``, if it took as long as the longest one before.
    """
    began, longest = clock(), 0.0
    for number in range(most):
        start = clock()
        if number >= least and start - began + longest > seconds:
            return
        yield number
        longest = max(longest, clock() - start)
