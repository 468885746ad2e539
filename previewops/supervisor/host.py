"""Name and metrics of the host that the supervisor runs on."""

from __future__ import annotations

import hashlib
import socket
from pathlib import Path

import psutil


def supervisor_id(data_dir: Path) -> str:
    """Returns the host name with a digest of DATA_DIR: the same after a restart, different for another DATA_DIR."""
    digest = hashlib.sha256(str(data_dir.resolve()).encode("utf-8", "surrogateescape")).hexdigest()
    return f"{host_name()}-{digest[:6]}"


def host_name() -> str:
    return socket.gethostname()


class HostMetrics:
    """Head-room of this host, and the memory of this process."""

    def __init__(self) -> None:
        self._process = psutil.Process()
        # The first call has nothing to compare with and returns 0.
        psutil.cpu_percent(None)

    def cpu(self) -> float:
        """Returns the busy share (0..1) of the processors since the last call."""
        return psutil.cpu_percent(None) / 100

    def free_bytes(self) -> int:
        """Returns the memory that is available without swapping."""
        return int(psutil.virtual_memory().available)

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
