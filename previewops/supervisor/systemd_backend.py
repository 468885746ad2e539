"""Backend that runs workers as transient units of systemd. Each has limits, and survives a supervisor's restart.

``systemd-run`` starts them: for root on the system's manager, otherwise on the user's. ``systemd-run --wait`` stays
with a unit and prints how it ended. Ended units are collected, so ``systemctl`` cannot show their status.
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
from pathlib import Path

from previewops.settings import Settings
from previewops.supervisor.backend import WorkerHandle
from previewops.supervisor.process_backend import BuildArgv

MIB = 1024 * 1024
OWN_MEMORY_MB = 256
"""Memory of a worker besides its render processes."""
CPU_WEIGHT = 50
"""Half of a unit's default: programs that submit jobs and the screen come first."""
STOP_AFTER_DRAIN_S = 10
_MAIN_PID_TRIES = 100
_MAIN_PID_INTERVAL_S = 0.05
# "code=exited, status=3/NOTIMPLEMENTED" or, of older versions, "code=exited/status=3".
_ENDED = re.compile(r"code=(?P<how>exited|killed|dumped)[,/] ?status=(?P<status>[0-9A-Z]+)")
_TO_ESCAPE = re.compile(r'([\\"$`])')
_ESCAPED = r"\\\1"
# Variables that systemd sets for the unit of the supervisor itself.
_OWN_UNIT_VARIABLES = frozenset(
    {"INVOCATION_ID", "JOURNAL_STREAM", "MAINPID", "MANAGERPID", "LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"}
)


class UnitWorker:
    """A worker that is a unit's main process. Its pidfd ensures that no signal reaches another process."""

    def __init__(self, worker_id: str, pid: int, runner: asyncio.subprocess.Process | None) -> None:
        self.worker_id = worker_id
        self.pid = pid
        self._runner = runner
        self._pidfd: int | None = os.pidfd_open(pid)

    async def wait(self) -> int | None:
        """Waits for the exit and returns the status, None for an adopted worker."""
        status = None
        if self._runner is not None:
            _, stderr = await self._runner.communicate()
            status = parse_exit_status(stderr.decode("utf-8", "replace"))
        await self._wait_for_exit()
        return status

    async def _wait_for_exit(self) -> None:
        if self._pidfd is None:
            return
        loop, exited = asyncio.get_running_loop(), asyncio.Event()
        loop.add_reader(self._pidfd, exited.set)
        try:
            await exited.wait()
        finally:
            loop.remove_reader(self._pidfd)
            os.close(self._pidfd)
            self._pidfd = None

    def signal(self, signum: signal.Signals) -> None:
        """Sends the main process a signal. When it has exited, systemd kills the rest of the unit."""
        if self._pidfd is not None:
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._pidfd, signum)


class SystemdBackend:
    """Starts each worker as ``previewops-worker-<tag>-<worker id>.service``."""

    name = "systemd-run"

    def __init__(self, build_argv: BuildArgv, settings: Settings, *, folder: Path) -> None:
        self._build_argv = build_argv
        self._folder = folder
        memory_mb = settings.worker_concurrency * settings.memory_limit_mb + OWN_MEMORY_MB
        self._limits = {
            "MemoryMax": memory_mb * MIB,
            "CPUWeight": CPU_WEIGHT,
            "TimeoutStopSec": f"{settings.drain_timeout_s + STOP_AFTER_DRAIN_S}s",
        }
        owner = f"{settings.queue_name}\0{settings.data_dir.resolve()}"
        self._prefix = f"previewops-worker-{hashlib.sha256(owner.encode()).hexdigest()[:8]}-"
        self._manager = [] if os.geteuid() == 0 else ["--user"]

    async def start(self, worker_id: str, slot_number: int, environ: Mapping[str, str]) -> WorkerHandle:
        """Starts a worker. Raises OSError if systemd-run cannot be run, or the unit does not start."""
        file = self._environment_file(worker_id)
        file.touch(mode=0o600)
        file.write_text(format_environment_file(environ), "utf-8")
        runner = await asyncio.create_subprocess_exec(
            "systemd-run",
            *self._manager,
            *self._options(worker_id, file),
            "--",
            *self._build_argv(worker_id),
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
            await asyncio.sleep(_MAIN_PID_INTERVAL_S)
        with suppress(ProcessLookupError):
            runner.kill()
        _, stderr = await runner.communicate()
        file.unlink(missing_ok=True)
        reason = stderr.decode("utf-8", "replace").strip() or "the unit has no process"
        raise OSError(f"systemd-run: {reason}")

    def _options(self, worker_id: str, environment: Path) -> list[str]:
        fixed = {"EnvironmentFile": environment, "KillMode": "mixed", "OOMPolicy": "continue"}
        properties = {**fixed, **self._limits}
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
        """Returns the units of an earlier supervisor of this queue and DATA_DIR."""
        listing = await self._systemctl(
            "list-units", "--type=service", "--state=active,activating", "--output=json", f"{self._prefix}*"
        )
        handles: list[WorkerHandle] = []
        for unit in sorted(row["unit"] for row in json.loads(listing or "[]")):
            pid = await self._main_pid(unit)
            with suppress(ProcessLookupError):
                if pid != 0:
                    worker_id = unit.removeprefix(self._prefix).removesuffix(".service")
                    handles.append(UnitWorker(worker_id, pid, None))
        return handles

    async def kill_orphans(self) -> list[str]:
        """Returns none: all workers of an earlier supervisor are adopted."""
        return []

    def forget(self, handle: WorkerHandle) -> None:
        """Deletes the file with the worker's environment."""
        self._environment_file(handle.worker_id).unlink(missing_ok=True)

    def log_location(self, number: int, worker_id: str) -> str:
        return " ".join(["journalctl", *self._manager, "-u", self._unit(worker_id)])

    def _unit(self, worker_id: str) -> str:
        return f"{self._prefix}{worker_id}.service"

    def _environment_file(self, worker_id: str) -> Path:
        return self._folder / f"{worker_id}.env"

    async def _main_pid(self, unit: str) -> int:
        output = await self._systemctl("show", "--property=MainPID", "--value", unit)
        return int(output) if output.strip().isdigit() else 0

    async def _systemctl(self, *arguments: str) -> str:
        process = await asyncio.create_subprocess_exec(
            "systemctl",
            *self._manager,
            *arguments,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
        stdout, _ = await process.communicate()
        return stdout.decode("utf-8", "replace")


def format_environment_file(environ: Mapping[str, str]) -> str:
    """Returns ``environ`` in the format of EnvironmentFile=, without names that systemd rejects."""
    return "".join(
        f'{name}="{_TO_ESCAPE.sub(_ESCAPED, value)}"\n'
        for name, value in sorted(environ.items())
        if name.isidentifier() and name not in _OWN_UNIT_VARIABLES
    )


def parse_exit_status(output: str) -> int | None:
    """Parses the status in the output of ``systemd-run --wait``: negative for a signal, None if it is missing."""
    match = _ENDED.search(output)
    if match is None:
        return None
    status = match["status"]
    number = int(status) if status.isdigit() else _signal_number(status)
    if number is None:
        return None
    return number if match["how"] == "exited" else -number


def _signal_number(name: str) -> int | None:
    try:
        return int(signal.Signals[f"SIG{name.removeprefix('SIG')}"])
    except KeyError:
        return None
