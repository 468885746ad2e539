"""The list of running workers in a file, so that a supervisor finds what an earlier one has left behind."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

_SAME_START_S = 2.0  # the start is told relative to the wall clock, which may be set


@dataclass(frozen=True, slots=True)
class RegisteredProcess:
    """A worker process: its id, its process id and when that process was started (s since the epoch)."""

    worker_id: str
    pid: int
    started_s: float

    def process(self) -> psutil.Process | None:
        """The process, if it still runs: process ids are given anew, so its start and its words have to fit."""
        with suppress(psutil.Error):
            process = psutil.Process(self.pid)
            if process.status() == psutil.STATUS_ZOMBIE:
                return None
            if (
                abs(process.create_time() - self.started_s) <= _SAME_START_S
                and self.worker_id in process.cmdline()
            ):
                return process
        return None


class ProcessRegistry:
    """The file. It is replaced as a whole, so that a reader never sees half of it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._entries: dict[str, RegisteredProcess] = {}

    def read(self) -> list[RegisteredProcess]:
        """What the last supervisor wrote; nothing if there is no such file, or it cannot be understood."""
        try:
            return [
                RegisteredProcess(str(each["worker_id"]), int(each["pid"]), float(each["started_s"]))
                for each in json.loads(self._path.read_text("utf-8"))
            ]
        except (OSError, ValueError, TypeError, KeyError):
            return []

    def add(self, worker_id: str, pid: int) -> None:
        """Notes a worker that was started."""
        with suppress(psutil.Error):
            self._entries[worker_id] = RegisteredProcess(worker_id, pid, psutil.Process(pid).create_time())
            self._write()

    def remove(self, worker_id: str) -> None:
        """Notes that a worker has ended."""
        if self._entries.pop(worker_id, None) is not None:
            self._write()

    def restore(self, entries: list[RegisteredProcess]) -> None:
        """Takes over entries that were read, until they are removed."""
        self._entries |= {entry.worker_id: entry for entry in entries}

    def _write(self) -> None:
        partial = self._path.with_suffix(".partial")
        # A full disk must not end the supervisor; the tether still holds the workers.
        with suppress(OSError):
            partial.write_text(json.dumps([asdict(entry) for entry in self._entries.values()]), "utf-8")
            partial.replace(self._path)
