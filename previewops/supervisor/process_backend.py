"""Backend that runs workers as child processes. The kernel kills them when the supervisor exits, even by SIGKILL.

A SIGTERM, and so a drain, would be kinder to their jobs. But a worker that is stopped or hangs would survive it, and
neither systemd nor a container lets the children of a dead supervisor drain.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

import psutil

from previewops.logs.journal import JOURNAL_FIELDS
from previewops.process.parent_death import die_with_parent_argv
from previewops.supervisor.actions import Action, LogAction
from previewops.supervisor.backend import WorkerHandle
from previewops.supervisor.log_tail import LogSource
from previewops.supervisor.process_registry import ProcessRegistry, RegisteredProcess

LOG_BYTES = 10 * 1024 * 1024
ORPHAN_EXIT_TIMEOUT_S = 5.0
"""Time that the exit of a killed orphan may take; one that waits for a disk exits late."""
_POLL_INTERVAL_S = 0.1

BuildArgv = Callable[[str], Sequence[str]]
"""Returns the command line of the worker with an id."""


class ChildWorker:
    """A worker that is a child of this process."""

    def __init__(self, worker_id: str, process: asyncio.subprocess.Process) -> None:
        self.worker_id = worker_id
        self.pid = process.pid
        self._process = process

    async def wait(self) -> int | None:
        return await self._process.wait()

    def signal(self, signum: signal.Signals) -> None:
        # It may have been reaped before asyncio reports its exit.
        with suppress(ProcessLookupError):
            if self._process.returncode is None:
                self._process.send_signal(signum)


class ProcessBackend:
    """Starts workers as children of this process, each with a log of its slot in ``log_folder``.

    ``log_folder`` is None if this process logs to systemd's journal: its workers do too.
    """

    name = "process"

    def __init__(
        self,
        build_argv: BuildArgv,
        *,
        log_folder: Path | None,
        registry: ProcessRegistry,
        log_action: LogAction,
    ) -> None:
        self._build_argv = build_argv
        self._log_folder = log_folder
        self._log_action = log_action
        self._registry = registry
        self._orphans = registry.read()
        registry.restore(self._orphans)

    async def start(self, worker_id: str, slot_number: int, environ: Mapping[str, str]) -> WorkerHandle:
        with self._open_output(slot_number) as output:
            process = await asyncio.create_subprocess_exec(
                *die_with_parent_argv(self._build_argv(worker_id), signal.SIGKILL),
                env=dict(environ),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                # The terminal sends Ctrl-C to the supervisor only, which drains the workers.
                start_new_session=True,
            )
        self._registry.add(worker_id, process.pid)
        return ChildWorker(worker_id, process)

    @contextmanager
    def _open_output(self, slot_number: int) -> Iterator[BinaryIO | int | None]:
        """Opens the standard output of a worker; None is that of this process. A worker can do without a log."""
        if self._log_folder is None:
            yield None
            return
        try:
            self._log_folder.mkdir(parents=True, exist_ok=True)
            log = _open_log(self._log_folder / log_name(slot_number))
        except OSError as error:
            message = f"worker {slot_number} starts without its log in {self._log_folder}: {error.strerror}"
            self._log_action(Action.LOG_UNAVAILABLE, message)
            yield asyncio.subprocess.DEVNULL
            return
        with log:
            yield log

    async def adopt(self) -> list[WorkerHandle]:
        """Returns none: a process cannot wait for another's child, and the kernel has killed them."""
        return []

    async def kill_orphans(self) -> list[str]:
        """Kills the workers of an earlier supervisor that still run; returns the ids of all, whose leases remain."""
        await asyncio.gather(*(self._kill_orphan(orphan) for orphan in self._orphans))
        return [orphan.worker_id for orphan in self._orphans]

    async def _kill_orphan(self, orphan: RegisteredProcess) -> None:
        process = orphan.process()
        if process is not None:
            with suppress(psutil.Error):
                process.kill()
            await _wait_for_exit(orphan, ORPHAN_EXIT_TIMEOUT_S)
        self._registry.remove(orphan.worker_id)

    def forget(self, handle: WorkerHandle) -> None:
        self._registry.remove(handle.worker_id)

    def log_source(self, number: int, worker_id: str) -> LogSource:
        if self._log_folder is None:
            return ("journalctl", f"{JOURNAL_FIELDS['worker']}={worker_id}")
        return self._log_folder / log_name(number)


def log_name(slot_number: int) -> str:
    """Returns the name of the log of a slot's workers."""
    return f"worker-{slot_number}.log"


async def _wait_for_exit(orphan: RegisteredProcess, timeout_s: float) -> None:
    """Polls until the process has exited: it is not a child of this one. Returns at the timeout as well."""
    for _ in range(round(timeout_s / _POLL_INTERVAL_S)):
        if orphan.process() is None:
            return
        await asyncio.sleep(_POLL_INTERVAL_S)


def _open_log(path: Path) -> BinaryIO:
    """Opens a log for appending. A large one is rotated first; a worker that drains goes on writing to that."""
    if path.exists() and path.stat().st_size > LOG_BYTES:
        path.replace(path.with_suffix(".log.1"))
    return path.open("ab")
