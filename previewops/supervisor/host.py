"""Name and metrics of the host that the supervisor runs on."""

from __future__ import annotations

import hashlib
import socket
import time
from pathlib import Path

import psutil

from previewops.process.resources import CpuMeter, available_memory
from previewops.snapshot.fleet import HostGauges
from previewops.supervisor.host_gauges import GaugeMeter


def supervisor_id(data_dir: Path) -> str:
    """Returns the host name with a digest of DATA_DIR: the same after a restart, different for another DATA_DIR."""
    digest = hashlib.sha256(str(data_dir.resolve()).encode("utf-8", "surrogateescape")).hexdigest()
    return f"{host_name()}-{digest[:6]}"


def host_name() -> str:
    return socket.gethostname()


class HostMetrics:
    """Head-room and gauges of this host, and the memory of this process. ``data_dir`` is on the gauges' disk."""

    def __init__(self, data_dir: Path = Path()) -> None:
        self._process = psutil.Process()
        self._cpu_meter = CpuMeter()
        self._gauges = GaugeMeter(data_dir, time.monotonic)

    def cpu(self) -> float:
        """Returns the busy share (0..1) of the processors that this process may use, since the last call."""
        share = self._cpu_meter.busy_share()
        self._gauges.record(share)
        return share

    def gauges(self) -> HostGauges:
        """Returns what operators see of this host; its processors are those of the last call of ``cpu``."""
        return self._gauges.gauges()

    def free_bytes(self) -> int:
        """Returns the memory that this process may still take without swapping."""
        return available_memory()

    def rss_bytes(self) -> int:
        """Returns the resident memory of this process."""
        return int(self._process.memory_info().rss)

    def oom_kills(self) -> int | None:
        """Returns the number of processes that the kernel has killed for memory, None if it does not count them."""
        try:
            lines = Path("/proc/vmstat").read_text().splitlines()
        except OSError:
            return None
        return next((int(line.split()[1]) for line in lines if line.startswith("oom_kill ")), None)
