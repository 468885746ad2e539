"""How many jobs a worker has completed in each of the last half minutes."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from previewops.snapshot.recent import RECENT_STEP_MS, RECENT_STEPS


class RecentCompletions:
    """Counts by steps of ``RECENT_STEP_MS``; the current step is not among them.

    An idle worker reports the same counts with each heartbeat, so that nothing is stored. ``monotonic`` returns
    seconds that never decrease.
    """

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._closed: deque[int] = deque(maxlen=RECENT_STEPS)
        self._step = self._current_step()
        self._count = 0

    def add(self) -> None:
        """Counts one completed job."""
        self._close_steps()
        self._count += 1

    def read(self) -> list[int]:
        """Returns the counts of the closed steps, oldest first; fewer than ``RECENT_STEPS`` after a start."""
        self._close_steps()
        return list(self._closed)

    def _close_steps(self) -> None:
        missed = self._current_step() - self._step
        if missed <= 0:
            return
        self._step += missed
        self._closed.append(self._count)
        self._closed.extend([0] * min(missed - 1, RECENT_STEPS))
        self._count = 0

    def _current_step(self) -> int:
        return int(self._monotonic() * 1000 // RECENT_STEP_MS)
