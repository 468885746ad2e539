"""File with the running worker processes, in which a supervisor finds the orphans of an earlier one."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

_SAME_START_S = 2.0  # the start is relative to the wall clock, which may be set


@dataclass(frozen=True, slots=True)
class RegisteredProcess:
    """A worker process: its worker id, its process id and its start (s since the epoch)."""

    worker_id: str
    pid: int
    started_s: float

    def process(self) -> psutil.Process | None:
        """Returns the process if it still runs. Pids are reused, so its start and command line have to match."""
        with suppress(psutil.Error):
            process = psutil.Process(self.pid)
            same_start = abs(process.create_time() - self.started_s) <= _SAME_START_S
            if (
                process.status() != psutil.STATUS_ZOMBIE
                and same_start
                and self.worker_id in process.cmdline()
            ):
                return process
        return None


class ProcessRegistry:
    """The file. It is replaced atomically, so a reader never sees half of it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._entries: dict[str, RegisteredProcess] = {}

    def read(self) -> list[RegisteredProcess]:
        """Returns the entries of the last supervisor; none if the file is missing or invalid."""
        try:
            return [
                RegisteredProcess(str(entry["worker_id"]), int(entry["pid"]), float(entry["started_s"]))
                for entry in json.loads(self._path.read_text("utf-8"))
            ]
        except (OSError, ValueError, TypeError, KeyError):
            return []

    def add(self, worker_id: str, pid: int) -> None:
        """Adds a worker that was started."""
        with suppress(psutil.Error):
            started_s = psutil.Process(pid).create_time()
            self._entries[worker_id] = RegisteredProcess(worker_id, pid, started_s)
            self._write()

    def remove(self, worker_id: str) -> None:
        """Removes a worker that has exited."""
        if self._entries.pop(worker_id, None) is not None:
            self._write()

    def restore(self, entries: list[RegisteredProcess]) -> None:
        """Adds entries of an earlier supervisor, until they are removed."""
        self._entries |= {entry.worker_id: entry for entry in entries}

    def _write(self) -> None:
        partial = self._path.with_suffix(".partial")
        # A full disk must not end the supervisor; workers exit with it even without the file.
        with suppress(OSError):
            partial.write_text(json.dumps([asdict(entry) for entry in self._entries.values()]), "utf-8")
            partial.replace(self._path)
