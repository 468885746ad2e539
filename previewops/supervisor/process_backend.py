"""Workers as child processes, tied to the supervisor: the kernel kills them when it is gone, SIGKILL included.

A SIGTERM, and so a drain, would be kinder to their jobs. But a worker that is stopped or hangs would live on
in spite of it, and no systemd and no container lets the children of a dead supervisor drain either.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

import psutil

from previewops.process.parent_death import die_with_parent_argv
from previewops.supervisor.backend import WorkerHandle
from previewops.supervisor.process_registry import ProcessRegistry, RegisteredProcess

LOG_BYTES = 10 * 1024 * 1024
ORPHAN_EXIT_TIMEOUT_S = 5.0
"""How long a worker of a dead supervisor may take to be gone; one that waits for a disk dies late."""
_LOOK_EVERY_S = 0.1

BuildArgv = Callable[[str], Sequence[str]]
"""The command line of the worker of that id."""


class ChildWorker:
    """A worker that is a child of this process."""

    def __init__(self, worker_id: str, process: asyncio.subprocess.Process) -> None:
        self.worker_id = worker_id
        self.pid = process.pid
        self._process = process

    async def wait(self) -> int | None:
        """Its exit status, once it has ended."""
        return await self._process.wait()

    def signal(self, signum: signal.Signals) -> None:
        """Sends it a signal."""
        # It may have been reaped before its end has been told to us.
        with suppress(ProcessLookupError):
            if self._process.returncode is None:
                self._process.send_signal(signum)


class ProcessBackend:
    """Starts workers as children of this process, each with a log of its place in ``log_folder``."""

    name = "process"

    def __init__(self, build_argv: BuildArgv, *, log_folder: Path, registry: ProcessRegistry) -> None:
        self._command = build_argv
        self._log_folder = log_folder
        self._roster = registry
        self._left_behind = registry.read()
        registry.restore(self._left_behind)

    async def start(self, worker_id: str, slot_number: int, environ: Mapping[str, str]) -> WorkerHandle:
        """Starts a worker.

        Raises:
            OSError: it cannot be started, or its log cannot be written.
        """
        self._log_folder.mkdir(parents=True, exist_ok=True)
        with _appended(self._log(slot_number)) as log:
            process = await asyncio.create_subprocess_exec(
                *die_with_parent_argv(self._command(worker_id), signal.SIGKILL),
                env=dict(environ),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                # The terminal's Ctrl-C is for us: workers are drained in order.
                start_new_session=True,
            )
        self._roster.add(worker_id, process.pid)
        return ChildWorker(worker_id, process)

    async def adopt(self) -> list[WorkerHandle]:
        """None: nobody can wait for another's child, and the kernel has killed them."""
        return []

    async def kill_orphans(self) -> list[str]:
        """Makes sure that the workers of an earlier supervisor are gone, and names them: their jobs are not."""
        await asyncio.gather(*(self._end(entry) for entry in self._left_behind))
        return [entry.worker_id for entry in self._left_behind]

    async def _end(self, entry: RegisteredProcess) -> None:
        process = entry.process()
        if process is not None:
            with suppress(psutil.Error):
                process.kill()
            await _gone(entry, ORPHAN_EXIT_TIMEOUT_S)
        self._roster.remove(entry.worker_id)

    def forget(self, handle: WorkerHandle) -> None:
        """Takes a worker that has ended off the roster."""
        self._roster.remove(handle.worker_id)

    def log_location(self, number: int, worker_id: str) -> str:
        """The path of the log."""
        return str(self._log(number))

    def _log(self, number: int) -> Path:
        return self._log_folder / f"worker-{number}.log"


async def _gone(entry: RegisteredProcess, patience_s: float) -> None:
    """Returns when the process has ended, or ``patience_s`` have passed. It is not our child, so it is looked at."""
    for _ in range(round(patience_s / _LOOK_EVERY_S)):
        if entry.process() is None:
            return
        await asyncio.sleep(_LOOK_EVERY_S)


def _appended(path: Path) -> BinaryIO:
    """The log, begun anew with the old one kept once it is large."""
    if path.exists() and path.stat().st_size > LOG_BYTES:
        path.replace(path.with_suffix(".log.1"))
    return path.open("ab")
