"""The workers of `previewops up`: starts them, starts them again when they die, stops them with it.

Being the parent, it is the first to know that a worker is gone, and gives the worker's jobs back at once instead
of when their leases end. What to do after an exit is a pure function (``after_exit``).
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from previewops.errors import EXIT_USAGE
from previewops.lease import Leases
from previewops.tether import tethered

FIRST_PAUSE_S = 0.2
LONGEST_PAUSE_S = 10.0
HEALTHY_S = 10.0
"""A worker that lived this long did not die of how it was started."""
QUICK_DEATHS = 5
LOG_BYTES = 10 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Restart:
    """Start the worker again after ``pause_s`` seconds."""

    pause_s: float


@dataclass(frozen=True, slots=True)
class GiveUp:
    """Leave the worker's place empty; ``reason`` is for a person."""

    reason: str


def after_exit(status: int, lived_s: float, quick_deaths: int) -> Restart | GiveUp:
    """What to do after a worker that was not asked to stop has exited.

    ``status`` is the exit status, negative for a signal; ``quick_deaths`` counts deaths in a row, this one
    included, of workers that lived less than HEALTHY_S.
    """
    if status == EXIT_USAGE:
        return GiveUp("its settings are refused")
    if quick_deaths >= QUICK_DEATHS:
        return GiveUp(f"it died {quick_deaths} times in a row within {HEALTHY_S:.0f} s of its start")
    if lived_s >= HEALTHY_S:
        return Restart(FIRST_PAUSE_S)
    return Restart(min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2.0 ** (quick_deaths - 1)))


def describe_exit(status: int) -> str:
    """An exit status in words: "SIGKILL (out of memory?)", "status 1"."""
    if status >= 0:
        return f"status {status}"
    try:
        name = signal.Signals(-status).name
    except ValueError:
        # Most real-time signals have no name of their own.
        name = f"signal {-status}"
    return f"{name} (out of memory?)" if name == "SIGKILL" else name


Tell = Callable[[str], None]


class Fleet:
    """``count`` worker processes, each a ``previewops worker`` with its log in ``log_folder``."""

    def __init__(
        self, *, count: int, environ: Mapping[str, str], leases: Leases, log_folder: Path, tell: Tell
    ) -> None:
        self._count = count
        self._environ = dict(environ)
        self._leases = leases
        self._log_folder = log_folder
        self._tell = tell
        self._processes: dict[int, asyncio.subprocess.Process] = {}
        self._keepers: list[asyncio.Task[None]] = []
        self._stopping = asyncio.Event()
        self.abandoned: dict[int, str] = {}

    def start(self) -> None:
        """Starts the workers and keeps them running until ``stop``."""
        self._log_folder.mkdir(parents=True, exist_ok=True)
        self._keepers = [
            asyncio.create_task(self._keep(place), name=f"worker {place}")
            for place in range(1, self._count + 1)
        ]

    def pids(self) -> list[int]:
        """The process ids of the workers that run now."""
        return [process.pid for process in self._processes.values()]

    async def wait(self) -> None:
        """Returns when no worker is left that will be started again."""
        await asyncio.gather(*self._keepers)

    async def stop(self, timeout_s: float) -> None:
        """Drains the workers; whoever is left after ``timeout_s`` is killed."""
        self._stopping.set()
        self._signal_all(signal.SIGTERM)
        _, late = await asyncio.wait(self._keepers, timeout=timeout_s) if self._keepers else (None, ())
        if late:
            self._signal_all(signal.SIGKILL)
            await asyncio.wait(late)

    def hurry(self) -> None:
        """Has draining workers give their jobs back at once."""
        self._signal_all(signal.SIGTERM)

    def _signal_all(self, signum: signal.Signals) -> None:
        for process in self._processes.values():
            _signal(process, signum)

    async def _keep(self, place: int) -> None:
        quick_deaths = 0
        while not self._stopping.is_set():
            worker_id = f"{socket.gethostname()}-{place}-{os.urandom(3).hex()}"
            started = time.monotonic()
            status = await self._run_one(place, worker_id)
            lived_s = time.monotonic() - started
            if status != 0:
                await self._release(worker_id, status)
            if self._stopping.is_set():
                return
            quick_deaths = quick_deaths + 1 if lived_s < HEALTHY_S else 0
            decision = after_exit(status, lived_s, max(1, quick_deaths))
            if isinstance(decision, GiveUp):
                self.abandoned[place] = decision.reason
                self._tell(f"worker {place} stays down: {decision.reason}; see {self._log(place)}")
                return
            self._tell(
                f"worker {place} died ({describe_exit(status)}); its jobs are given back, it starts again"
            )
            await _either(self._stopping.wait(), decision.pause_s)

    async def _run_one(self, place: int, worker_id: str) -> int:
        with _appended(self._log(place)) as log:
            process = await asyncio.create_subprocess_exec(
                *tethered([sys.executable, "-m", "previewops", "worker", "--name", worker_id]),
                env=self._environ,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                # The terminal's Ctrl-C is for us: workers are drained in order.
                start_new_session=True,
            )
        self._processes[place] = process
        if self._stopping.is_set():
            _signal(process, signal.SIGTERM)
        try:
            return await process.wait()
        finally:
            del self._processes[place]

    async def _release(self, worker_id: str, status: int) -> None:
        try:
            await self._leases.end_worker(worker_id, f"the worker died: {describe_exit(status)}", lost=True)
        except Exception as error:
            # Redis is away: the leases end by themselves.
            self._tell(
                f"the jobs of {worker_id} could not be given back now ({error}); their leases will end"
            )

    def _log(self, place: int) -> Path:
        return self._log_folder / f"worker-{place}.log"


def _signal(process: asyncio.subprocess.Process, signum: signal.Signals) -> None:
    # It may have been reaped before its end has been told to us.
    with suppress(ProcessLookupError):
        if process.returncode is None:
            process.send_signal(signum)


async def _either(waited: Awaitable[object], timeout_s: float) -> None:
    try:
        async with asyncio.timeout(timeout_s):
            await waited
    except TimeoutError:
        return


def _appended(path: Path) -> BinaryIO:
    """The log, begun anew with the old one kept once it is large."""
    if path.exists() and path.stat().st_size > LOG_BYTES:
        path.replace(path.with_suffix(".log.1"))
    return path.open("ab")
