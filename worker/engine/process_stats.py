"""Memory and processor time of a worker and its render processes, read from /proc, see proc(5)."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass

_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
# Fields of /proc/<pid>/stat after the name, which may contain anything.
_STAT_BYTES = 4096  # more than a line has; a file object would cost five times as much
_OWN_TIMES = slice(11, 13)  # utime, stime
_REAPED_TIMES = slice(13, 15)  # cutime, cstime: of children that have been waited for


@dataclass(frozen=True, slots=True)
class ProcessStats:
    """Resident bytes of the worker, alone and with its helpers; processor use in percent of one core.

    Shared pages count in each process. The first reading has no predecessor: its ``cpu_percent`` is 0.
    """

    own_rss_bytes: int
    rss_bytes: int
    cpu_percent: float


class ProcessStatsReader:
    """Reads the statistics of this process and its helpers repeatedly.

    Args:
        helper_pids: returns the ids of the fork server and the live render processes.
        monotonic: seconds that never decrease.
    """

    def __init__(self, helper_pids: Callable[[], Iterable[int]], monotonic: Callable[[], float]) -> None:
        self._helper_pids = helper_pids
        self._monotonic = monotonic
        self._last: tuple[float, float] | None = None

    def read(self) -> ProcessStats:
        """The current statistics; ``cpu_percent`` since the last call. Skips helpers that have ended."""
        own_s, own_rss = _read(os.getpid())
        cpu_s, rss = own_s, own_rss
        for pid in self._helper_pids():
            try:
                used_s, resident = _read(pid)
            except (OSError, ValueError, IndexError):
                continue
            cpu_s += used_s
            rss += resident
        return ProcessStats(own_rss, rss, self._cpu_percent(cpu_s))

    def _cpu_percent(self, cpu_s: float) -> float:
        now, last = self._monotonic(), self._last
        self._last = (now, cpu_s)
        if last is None or now <= last[0]:
            return 0.0
        # A helper that ends between two readings takes along time that its parent is not yet credited with.
        return round(max(0.0, 100 * (cpu_s - last[1]) / (now - last[0])), 1)


def _read(pid: int) -> tuple[float, int]:
    """Processor seconds of a process and its reaped children, and its resident bytes."""
    handle = os.open(f"/proc/{pid}/stat", os.O_RDONLY | os.O_CLOEXEC)
    try:
        stat = os.read(handle, _STAT_BYTES)
    finally:
        os.close(handle)
    fields = stat[stat.rindex(b")") + 2 :].split()
    ticks = sum(int(field) for field in (*fields[_OWN_TIMES], *fields[_REAPED_TIMES]))
    return ticks / _TICKS_PER_S, int(fields[21]) * _PAGE_BYTES
