"""Gauges of a host for operators: processors, memory, load, and the disk of DATA_DIR, with their recent course."""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable
from pathlib import Path

import psutil

from previewops.process.resources import available_memory, usable_processors
from previewops.snapshot.fleet import HostGauges
from previewops.snapshot.recent import RECENT_STEP_MS, RECENT_STEPS

DISK_INTERVAL_S = 10.0


class DiskMeter:
    """Size and free space of the disk of a folder, read in a thread: the folder may be on a store that hangs."""

    def __init__(self, folder: Path, monotonic: Callable[[], float]) -> None:
        self._folder = folder
        self._monotonic = monotonic
        self._read_at: float | None = None
        self._reader: threading.Thread | None = None
        self._value: tuple[int, int] | None = None

    def read(self) -> tuple[int, int] | None:
        """Returns (size, free) in bytes as last known, and reads them again if they are old; None if unknown."""
        now = self._monotonic()
        due = self._read_at is None or now - self._read_at >= DISK_INTERVAL_S
        if due and (self._reader is None or not self._reader.is_alive()):
            self._read_at = now
            # A daemon: one that hangs does not hold up the end of this process.
            self._reader = threading.Thread(target=self._measure, name="disk-meter", daemon=True)
            self._reader.start()
        return self._value

    def _measure(self) -> None:
        try:
            disk = os.statvfs(self._folder)
        except OSError:
            self._value = None
        else:
            self._value = (disk.f_blocks * disk.f_frsize, disk.f_bavail * disk.f_frsize)


class GaugeRecorder:
    """Percentages by steps of ``RECENT_STEP_MS``: the mean of each closed step."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._means: deque[int] = deque(maxlen=RECENT_STEPS)
        self._step: int | None = None
        self._values: list[float] = []

    def add(self, percent: float) -> None:
        """Adds one measurement."""
        step = int(self._monotonic() * 1000 // RECENT_STEP_MS)
        if self._step is not None and step != self._step and self._values:
            self._means.append(round(sum(self._values) / len(self._values)))
            self._values = []
        self._step = step
        self._values.append(percent)

    def means(self) -> tuple[int, ...]:
        """Returns the means, oldest first."""
        return tuple(self._means)


class GaugeMeter:
    """Measures the gauges of this host. ``record`` is called with each poll, ``gauges`` with each report."""

    def __init__(self, data_dir: Path, monotonic: Callable[[], float]) -> None:
        self._disk = DiskMeter(data_dir, monotonic)
        self._cpu, self._memory = GaugeRecorder(monotonic), GaugeRecorder(monotonic)
        self._latest_cpu = 0.0

    def record(self, cpu: float) -> None:
        """Records the busy share of the processors, 0..1, and the memory at this moment."""
        self._latest_cpu = 100 * min(1.0, max(0.0, cpu))
        self._cpu.add(self._latest_cpu)
        size, free = self._memory_bytes()
        self._memory.add(100 * (size - free) / size if size else 0)

    def gauges(self) -> HostGauges:
        """Returns the gauges."""
        size, free = self._memory_bytes()
        disk_size, disk_free = self._disk.read() or (0, 0)
        return HostGauges(
            cpu_percent=round(self._latest_cpu),
            processors=usable_processors(),
            load=round(os.getloadavg()[0], 1),
            memory_bytes=size,
            memory_free_bytes=free,
            disk_bytes=disk_size,
            disk_free_bytes=disk_free,
            cpu_recent=self._cpu.means(),
            memory_recent=self._memory.means(),
        )

    @staticmethod
    def _memory_bytes() -> tuple[int, int]:
        size = int(psutil.virtual_memory().total)
        return size, min(size, available_memory())
