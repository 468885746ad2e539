"""Counts the jobs that a worker has completed, for its next report to the queue's breakdown."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator
from typing import NamedTuple

from previewops.queue.leases import EndedCount, Leases
from previewops.snapshot.histogram import bin_number
from previewops.states import Priority

MAX_COUNTS = 500
"""Counts of one report. The script's time grows with them."""


class _Completion(NamedTuple):
    project_id: str
    priority: Priority
    output_format: str
    wait_bin: int
    run_bin: int


class EndedJobs:
    """Completed jobs of one worker since the last report.

    A report whose reply was lost is sent again under its number, and the script counts it once.
    """

    def __init__(self, leases: Leases) -> None:
        self._leases = leases
        self._completed: Counter[_Completion] = Counter()
        self._reports: deque[tuple[int, list[EndedCount]]] = deque()
        self._last_number = 0

    def add(
        self, project_id: str, priority: Priority, output_format: str, *, wait_ms: float, run_ms: float
    ) -> None:
        """Counts one completed job."""
        completion = _Completion(project_id, priority, output_format, bin_number(wait_ms), bin_number(run_ms))
        self._completed[completion] += 1

    async def report(self) -> None:
        """Sends what was counted since the last report; nothing without completed jobs.

        Raises:
            redis.exceptions.RedisError, OSError: it is sent again with the next report.
        """
        counts = list(self._take_counts())
        for start in range(0, len(counts), MAX_COUNTS):
            self._last_number += 1
            self._reports.append((self._last_number, counts[start : start + MAX_COUNTS]))
        while self._reports:
            await self._leases.record_ended(*self._reports[0])
            self._reports.popleft()

    def _take_counts(self) -> Iterator[EndedCount]:
        completed, self._completed = self._completed, Counter()
        fields: Counter[tuple[str, Priority, str, str]] = Counter()
        for (project_id, priority, output_format, wait_bin, run_bin), amount in completed.items():
            fields[project_id, priority, output_format, f"w{wait_bin}"] += amount
            fields[project_id, priority, output_format, f"r{run_bin}"] += amount
        for name, amount in fields.items():
            yield EndedCount(*name, amount)
