"""Processors and memory that this process may use, which may be fewer than the host has."""

from __future__ import annotations

import math
import os
import time
from pathlib import Path

import psutil

from previewops.process.cgroups import GroupLimits, read_limits

MAX_FILE_CHARS = 1 << 20


def usable_processors() -> int:
    """Returns the number of processors for this process, by its affinity and the quotas of its control groups."""
    return count_processors(len(_affinity()), current_limits())


def count_processors(affinity: int, limits: GroupLimits) -> int:
    """Returns the number of processors; a part of one counts as one."""
    return max(1, affinity if limits.processors is None else min(affinity, math.ceil(limits.processors)))


def available_memory() -> int:
    """Returns the bytes that this process may still take without swapping, by the host and its control groups."""
    host = int(psutil.virtual_memory().available)
    free_bytes = current_limits().free_bytes
    return host if free_bytes is None else min(host, free_bytes)


def current_limits() -> GroupLimits:
    """Returns the limits of this process's control groups."""
    return read_limits(_read_file)


class CpuMeter:
    """Busy share of the processors that this process may use."""

    def __init__(self) -> None:
        # The first call has nothing to compare with and returns 0.
        psutil.cpu_percent(None, percpu=True)
        self._before: tuple[float, float] | None = None
        self._busy_share_of_quota(current_limits(), time.monotonic())

    def busy_share(self) -> float:
        """Returns the share (0..1) since the last call: of the allowed processors, or of the quota if more."""
        percents = psutil.cpu_percent(None, percpu=True)
        allowed = [percents[number] for number in _affinity() if number < len(percents)]
        host = sum(allowed) / len(allowed) / 100 if allowed else 0.0
        return max(host, self._busy_share_of_quota(current_limits(), time.monotonic()))

    def _busy_share_of_quota(self, limits: GroupLimits, now: float) -> float:
        if limits.processors is None or limits.cpu_used_s is None:
            return 0.0
        before, self._before = self._before, (now, limits.cpu_used_s)
        if before is None or now <= before[0]:
            return 0.0
        return max(0.0, (limits.cpu_used_s - before[1]) / (now - before[0]) / limits.processors)


def _affinity() -> set[int]:
    read = getattr(os, "sched_getaffinity", None)  # missing on macOS
    return set(range(os.cpu_count() or 1)) if read is None else set(read(0))


def _read_file(path: str) -> str | None:
    try:
        with Path(path).open(encoding="utf-8", errors="replace") as file:
            return file.read(MAX_FILE_CHARS)
    except OSError:
        return None
