"""Workers as transient units of systemd: each with limits of its own, and found again after a restart of ours.

Started by systemd-run(1): as root on the system's manager, otherwise on the user's own. ``systemd-run --wait``
stays with a unit and tells how it ended; units are collected, so nobody could be asked afterwards.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import re
import signal
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from previewops.settings import Settings
from previewops.supervisor.backend import WorkerHandle
from previewops.supervisor.process_backend import BuildArgv

MIB = 1024 * 1024
OWN_MEMORY_MB = 256
"""What a worker may take beside its render processes."""
CPU_WEIGHT = 50
"""Half of what a unit has by default: whoever submits and looks comes first."""
STOP_AFTER_DRAIN_S = 10
_MAIN_PID_TRIES = 100
_MAIN_PID_PAUSE_S = 0.05
# "code=exited, status=3/NOTIMPLEMENTED" or, of older versions, "code=exited/status=3".
_ENDED = re.compile(r"code=(?P<how>exited|killed|dumped)[,/] ?status=(?P<status>[0-9A-Z]+)")
_TO_ESCAPE = re.compile(r'([\\"$`])')
_ESCAPED = r"\\\1"
# Of the unit that we are in ourselves.
_OURS = (
    "INVOCATION_ID",
    "JOURNAL_STREAM",
    "LISTEN_PID",
    "LISTEN_FDS",
    "LISTEN_FDNAMES",
    "MAINPID",
    "MANAGERPID",
)


@dataclass(frozen=True, slots=True)
class UnitLimits:
    """``MemoryMax=`` in bytes, ``CPUWeight=``, and how long systemd itself waits for a stop, in s."""

    memory_bytes: int
    cpu_weight: int
    stop_s: int

    @classmethod
    def of(cls, settings: Settings) -> UnitLimits:
        """What the settings allow a worker with all its renders."""
        memory_mb = settings.worker_concurrency * settings.memory_limit_mb + OWN_MEMORY_MB
        return cls(memory_mb * MIB, CPU_WEIGHT, settings.drain_timeout_s + STOP_AFTER_DRAIN_S)


class UnitWorker:
    """A worker that is a unit's main process. It is held by a pidfd, so that no signal hits another process."""

    def __init__(self, worker_id: str, pid: int, runner: asyncio.subprocess.Process | None) -> None:
        self.worker_id = worker_id
        self.pid = pid
        self._runner = runner
        self._pidfd: int | None = os.pidfd_open(pid)

    async def wait(self) -> int | None:
        """Its exit status, once it has ended; None for an adopted one."""
        status = None
        if self._runner is not None:
            _, said = await self._runner.communicate()
            status = parse_exit_status(said.decode("utf-8", "replace"))
        await self._gone()
        return status

    async def _gone(self) -> None:
        if self._pidfd is None:
            return
        loop, gone = asyncio.get_running_loop(), asyncio.Event()
        loop.add_reader(self._pidfd, gone.set)
        try:
            await gone.wait()
        finally:
            loop.remove_reader(self._pidfd)
            os.close(self._pidfd)
            self._pidfd = None

    def signal(self, signum: signal.Signals) -> None:
        """Sends the main process a signal. What is left of the unit when it has ended is systemd's to kill."""
        if self._pidfd is not None:
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._pidfd, signum)


class SystemdBackend:
    """Starts each worker as ``previewops-worker-<tag>-<worker id>.service``."""

    name = "systemd-run"

    def __init__(
        self, build_argv: BuildArgv, settings: Settings, *, folder: Path, limits: UnitLimits
    ) -> None:
        self._command = build_argv
        self._folder = folder
        self._limits = limits
        whose = f"{settings.queue_name}\0{settings.data_dir.resolve()}"
        self._prefix = f"previewops-worker-{hashlib.sha256(whose.encode()).hexdigest()[:8]}-"
        self._manager = [] if os.geteuid() == 0 else ["--user"]

    async def start(self, worker_id: str, slot_number: int, environ: Mapping[str, str]) -> WorkerHandle:
        """Starts a worker.

        Raises:
            OSError: systemd-run cannot be run, or the unit does not come up.
        """
        file = self._environment_file(worker_id)
        file.touch(mode=0o600)
        file.write_text(format_environment_file(environ), "utf-8")
        runner = await asyncio.create_subprocess_exec(
            "systemd-run",
            *self._manager,
            *self._options(worker_id, file),
            "--",
            *self._command(worker_id),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
        )
        for _ in range(_MAIN_PID_TRIES):
            pid = await self._main_pid(self._unit(worker_id))
            if pid != 0:
                return UnitWorker(worker_id, pid, runner)
            if runner.returncode is not None:
                break
            await asyncio.sleep(_MAIN_PID_PAUSE_S)
        with suppress(ProcessLookupError):
            runner.kill()
        _, said = await runner.communicate()
        file.unlink(missing_ok=True)
        raise OSError(f"systemd-run: {said.decode('utf-8', 'replace').strip() or 'the unit has no process'}")

    def _options(self, worker_id: str, environment: Path) -> list[str]:
        limits = self._limits
        properties = {
            "EnvironmentFile": str(environment),
            "MemoryMax": str(limits.memory_bytes),
            "CPUWeight": str(limits.cpu_weight),
            "KillMode": "mixed",
            "TimeoutStopSec": f"{limits.stop_s}s",
            "OOMPolicy": "continue",
        }
        return [
            f"--unit={self._unit(worker_id)}",
            f"--description=previewops: worker {worker_id}",
            "--wait",
            "--collect",
            "--service-type=notify",
            f"--working-directory={Path.cwd()}",
            *(f"--property={name}={value}" for name, value in properties.items()),
        ]

    async def adopt(self) -> list[WorkerHandle]:
        """The units of an earlier supervisor of this queue and DATA_DIR."""
        listed = await self._systemctl(
            "list-units", "--type=service", "--state=active,activating", "--output=json", f"{self._prefix}*"
        )
        handles: list[WorkerHandle] = []
        for unit in sorted(row["unit"] for row in json.loads(listed or "[]")):
            pid = await self._main_pid(unit)
            with suppress(ProcessLookupError):
                if pid != 0:
                    worker_id = unit.removeprefix(self._prefix).removesuffix(".service")
                    handles.append(UnitWorker(worker_id, pid, None))
        return handles

    async def kill_orphans(self) -> list[str]:
        """None: whatever an earlier supervisor started is adopted."""
        return []

    def forget(self, handle: WorkerHandle) -> None:
        """Removes the file with the worker's environment."""
        self._environment_file(handle.worker_id).unlink(missing_ok=True)

    def log_location(self, number: int, worker_id: str) -> str:
        """The command that shows the log."""
        return " ".join(["journalctl", *self._manager, "-u", self._unit(worker_id)])

    def _unit(self, worker_id: str) -> str:
        return f"{self._prefix}{worker_id}.service"

    def _environment_file(self, worker_id: str) -> Path:
        return self._folder / f"{worker_id}.env"

    async def _main_pid(self, unit: str) -> int:
        said = await self._systemctl("show", "--property=MainPID", "--value", unit)
        return int(said) if said.strip().isdigit() else 0

    async def _systemctl(self, *words: str) -> str:
        process = await asyncio.create_subprocess_exec(
            "systemctl",
            *self._manager,
            *words,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
        said, _ = await process.communicate()
        return said.decode("utf-8", "replace")


def format_environment_file(environ: Mapping[str, str]) -> str:
    """``environ`` as a file for EnvironmentFile=. Names that systemd does not take are left out."""
    lines = [
        f'{name}="{_TO_ESCAPE.sub(_ESCAPED, value)}"\n'
        for name, value in sorted(environ.items())
        if name.isidentifier() and name not in _OURS
    ]
    return "".join(lines)


def parse_exit_status(output: str) -> int | None:
    """The exit status out of what ``systemd-run --wait`` said, negative for a signal; None if it is not there."""
    found = _ENDED.search(output)
    if found is None:
        return None
    status = found["status"]
    number = int(status) if status.isdigit() else _signal_number(status)
    if number is None:
        return None
    return number if found["how"] == "exited" else -number


def _signal_number(name: str) -> int | None:
    try:
        return int(signal.Signals[f"SIG{name.removeprefix('SIG')}"])
    except KeyError:
        return None
