"""What a supervisor asks of whatever runs its workers."""

from __future__ import annotations

import signal
from collections.abc import Mapping
from typing import Protocol


class WorkerHandle(Protocol):
    """One worker process."""

    @property
    def worker_id(self) -> str:
        """The id that the worker reports under."""
        ...

    @property
    def pid(self) -> int:
        """Its process id."""
        ...

    async def wait(self) -> int | None:
        """Returns when it has ended: its exit status, negative for a signal, None if that cannot be learnt."""
        ...

    def signal(self, signum: signal.Signals) -> None:
        """Sends it a signal; nothing happens if it has ended."""
        ...


class WorkerBackend(Protocol):
    """Starts workers. It needs no knowledge of what they do."""

    @property
    def name(self) -> str:
        """ "process" or "systemd-run"."""
        ...

    async def start(self, worker_id: str, slot_number: int, environ: Mapping[str, str]) -> WorkerHandle:
        """Starts a worker in place ``number``.

        Raises:
            OSError: it cannot be started.
        """
        ...

    async def adopt(self) -> list[WorkerHandle]:
        """The workers of an earlier supervisor that go on under this one."""
        ...

    async def kill_orphans(self) -> list[str]:
        """Ends the workers of an earlier supervisor that cannot be adopted; returns their ids."""
        ...

    def forget(self, handle: WorkerHandle) -> None:
        """Called when a worker has ended."""
        ...

    def log_location(self, number: int, worker_id: str) -> str:
        """Where a person finds the log of that worker: a path, or a command."""
        ...
