"""Interface of the backends that run worker processes."""

from __future__ import annotations

import signal
from collections.abc import Mapping
from typing import Protocol

from previewops.supervisor.log_tail import LogSource


class WorkerHandle(Protocol):
    """One worker process."""

    @property
    def worker_id(self) -> str:
        """Id in the worker's heartbeats."""

    @property
    def pid(self) -> int:
        """Process id."""

    async def wait(self) -> int | None:
        """Waits for the exit. Returns the status, negative for a signal, None if it is unknown."""

    def signal(self, signum: signal.Signals) -> None:
        """Sends a signal; does nothing if the process has exited."""


class WorkerBackend(Protocol):
    """Starts and finds worker processes."""

    @property
    def name(self) -> str:
        """ "process" or "systemd-run"."""

    async def start(self, worker_id: str, slot_number: int, environ: Mapping[str, str]) -> WorkerHandle:
        """Starts a worker for a slot.

        Raises:
            OSError: it cannot be started.
        """

    async def adopt(self) -> list[WorkerHandle]:
        """Returns the workers of an earlier supervisor that run on under this one."""

    async def kill_orphans(self) -> list[str]:
        """Kills the workers of an earlier supervisor that cannot be adopted; returns their ids."""

    def forget(self, handle: WorkerHandle) -> None:
        """Removes the records of a worker that has exited."""

    def log_source(self, number: int, worker_id: str) -> LogSource:
        """Returns the file of the worker's log, or the command that prints it."""
