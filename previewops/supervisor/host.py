"""The machine that the supervisor runs on, and its name."""

from __future__ import annotations

import hashlib
import socket
from pathlib import Path

import psutil


def supervisor_id(data_dir: Path) -> str:
    """Host name and a digest of DATA_DIR: the same after a restart, and another for another DATA_DIR."""
    digest = hashlib.sha256(str(data_dir.resolve()).encode("utf-8", "surrogateescape")).hexdigest()
    return f"{host_name()}-{digest[:6]}"


def host_name() -> str:
    """The name of this machine."""
    return socket.gethostname()


class HostMetrics:
    """Head-room of this machine and the size of this process."""

    def __init__(self) -> None:
        self._process = psutil.Process()
        # The first call has nothing to compare with and returns 0.
        psutil.cpu_percent(None)

    def cpu(self) -> float:
        """Share (0..1) of the processors that was busy since the last call."""
        return psutil.cpu_percent(None) / 100

    def free_bytes(self) -> int:
        """Memory that can be had without swapping."""
        return int(psutil.virtual_memory().available)

    def rss_bytes(self) -> int:
        """Resident memory of this process."""
        return int(self._process.memory_info().rss)

    def oom_kills(self) -> int | None:
        """How many processes the kernel has killed for want of memory since it started; None if it does not say."""
        try:
            lines = Path("/proc/vmstat").read_text().splitlines()
        except OSError:
            return None
        return next((int(line.split()[1]) for line in lines if line.startswith("oom_kill ")), None)
