"""Judges whether work grows faster than its input, by processor time."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from typing import Any

SMALLEST = 12
LARGEST = 6_144
SUSPECT_S = 0.010
"""Processor time below which no growth is judged. Linear work on the largest input takes a hundredth of it."""

MAX_RATIO = 3.0
"""Twice the input may cost this much more: 2 is linear, 4 is quadratic."""

_REPEATS = 5
_ROUNDS = 3
"""Judgements that have to agree: on a busy machine a single one may err."""
_CERTAIN_S = 0.2
"""Processor time above which one measurement is enough."""


def superlinear_size(
    work: Callable[[Any], object], build: Callable[[int], Any], largest: int = LARGEST
) -> int | None:
    """Returns the size at which twice the input costs clearly more than twice the time; None if there is none.

    ``build`` makes an input of about n characters. Sizes double from ``SMALLEST``: exponential work ends soon.
    """
    size = SMALLEST
    while size < largest:
        size *= 2
        first = _cost(work, build(size), 1)
        repeats = 1 if first > _CERTAIN_S else _REPEATS
        if first > SUSPECT_S and all(_is_superlinear(work, build, size, repeats) for _ in range(_ROUNDS)):
            return size
    return None


def _is_superlinear(
    work: Callable[[Any], object], build: Callable[[int], Any], size: int, repeats: int
) -> bool:
    half, full = _cost(work, build(size // 2), repeats), _cost(work, build(size), repeats)
    return full > SUSPECT_S and full > MAX_RATIO * half


def _cost(work: Callable[[Any], object], value: Any, repeats: int) -> float:
    """Returns the least processor time of this thread in seconds: other programs can only add to it."""
    costs = []
    gc.disable()  # its work depends on everything that the process has made
    try:
        for _ in range(repeats):
            began = time.thread_time()
            work(value)
            costs.append(time.thread_time() - began)
    finally:
        gc.enable()
    return min(costs)
