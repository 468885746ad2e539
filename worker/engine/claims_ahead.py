"""Jobs that a worker claims ahead, so that a slot that becomes free does not wait for a round trip to Redis.

Only where jobs are short: a claimed job that waits for a slot here could start in another worker that has one.
"""

from __future__ import annotations

import heapq
from collections import deque

from previewops.states import Priority
from previewops.worker.engine.execution import JobRun

SHORT_RUN_MS = 50.0
"""No job is claimed ahead after a run that took longer."""

RECENT_RUNS = 16
"""So many runs in a row must have been short."""

MAX_WORK_AHEAD_MS = 20.0
"""Expected time until the last of them starts. One job may wait for longer."""

MAX_AHEAD = 32
"""Claims ahead of one worker. More would not make a batch of finishes cheaper."""

HOLD_LIMIT_S = 0.05
"""A job that has not started after this time is released: those before it are longer than expected."""

_RANKS = {priority: rank for rank, priority in enumerate(Priority)}


class RunTimes:
    """Durations of the latest runs, and how many jobs may be claimed ahead because of them."""

    def __init__(self) -> None:
        self._recent_ms: deque[float] = deque(maxlen=RECENT_RUNS)

    def add(self, run_ms: float) -> None:
        """Adds the duration of a run that has ended."""
        self._recent_ms.append(run_ms)

    def max_ahead(self, slots: int) -> int:
        """Number of jobs for a worker with so many slots: none unless all latest runs were short."""
        recent = self._recent_ms
        if len(recent) < RECENT_RUNS or max(recent) > SHORT_RUN_MS:
            return 0
        mean_ms = max(sum(recent) / RECENT_RUNS, 0.001)
        return max(1, min(MAX_AHEAD, int(slots * MAX_WORK_AHEAD_MS / mean_ms)))


class RunsAhead:
    """Runs that wait for a slot. The next one has the highest priority, then the oldest claim."""

    def __init__(self) -> None:
        self._heap: list[tuple[int, int, JobRun]] = []

    def __len__(self) -> int:
        return len(self._heap)

    def add(self, run: JobRun) -> None:
        """Adds a run."""
        run.waits_for_slot = True
        heapq.heappush(self._heap, (_RANKS[run.claim.priority], int(run.claim.token), run))

    def take(self) -> JobRun | None:
        """Removes and returns the next run."""
        return heapq.heappop(self._heap)[2] if self._heap else None

    def take_claimed_before(self, moment: float) -> list[JobRun]:
        """Removes and returns the runs whose claims arrived before ``moment``, as of ``time.monotonic``."""
        late = [entry[2] for entry in self._heap if entry[2].claimed_at < moment]
        self._heap = [entry for entry in self._heap if entry[2].claimed_at >= moment]
        heapq.heapify(self._heap)
        return late
