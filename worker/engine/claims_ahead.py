"""Jobs that a worker claims ahead, so that a slot that becomes free does not wait for a round trip to Redis.

Only where jobs are short: a claimed job that waits for a slot here could start in another worker that has one.
"""

from __future__ import annotations

import heapq
from collections import deque
from dataclasses import dataclass, field

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
    """Runs that wait for a slot. The next one has the highest priority; its project was served before the others'.

    A project that enters is behind those that wait, and in a project the oldest claim comes first. So a job waits for
    one job of each other project here, however many these have.
    """

    def __init__(self) -> None:
        self._runs: dict[int, dict[str, _RunsOfProject]] = {rank: {} for rank in _RANKS.values()}
        self._count = 0
        self._served = 0

    def __len__(self) -> int:
        return self._count

    def add(self, run: JobRun) -> None:
        """Adds a run."""
        run.waits_for_slot = True
        projects = self._runs[_RANKS[run.claim.priority]]
        runs = projects.get(run.claim.project)
        if runs is None:
            runs = projects[run.claim.project] = _RunsOfProject(self._served)
        heapq.heappush(runs.heap, (int(run.claim.token), run))
        self._count += 1

    def take(self) -> JobRun | None:
        """Removes and returns the next run."""
        for projects in self._runs.values():
            if projects:
                # Most queues have one project, and this is called for every job.
                project, runs = (
                    next(iter(projects.items()))
                    if len(projects) == 1
                    else min(projects.items(), key=lambda item: (item[1].served, item[1].heap[0][0]))
                )
                _, run = heapq.heappop(runs.heap)
                self._count -= 1
                self._served += 1
                runs.served = self._served
                if not runs.heap:
                    del projects[project]
                return run
        return None

    def take_claimed_before(self, moment: float) -> list[JobRun]:
        """Removes and returns the runs whose claims arrived before ``moment``, as of ``time.monotonic``."""
        late: list[JobRun] = []
        for projects in self._runs.values():
            for project, runs in list(projects.items()):
                late += (run for _, run in runs.heap if run.claimed_at < moment)
                runs.heap = [entry for entry in runs.heap if entry[1].claimed_at >= moment]
                heapq.heapify(runs.heap)
                if not runs.heap:
                    del projects[project]
        self._count -= len(late)
        return late


@dataclass(slots=True)
class _RunsOfProject:
    """``served`` is the number of runs that had been taken when this project was last served."""

    served: int
    heap: list[tuple[int, JobRun]] = field(default_factory=list)
