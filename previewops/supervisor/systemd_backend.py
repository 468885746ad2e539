"""Backend that runs workers as transient units of systemd. Each has limits, and survives a supervisor's restart.

``systemd-run`` starts them: for root on the system's manager, otherwise on the user's. ``systemd-run --wait`` stays
with a unit and prints how it ended. Ended units are collected, so ``systemctl`` cannot show their status.

The units are hardened like the shipped ones. For root they run as the owner of DATA_DIR. A worker's environment,
which may contain secrets, is in a file in memory while systemd starts the unit, and then removed.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import re
import signal
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from previewops.errors import UsageError
from previewops.secret_files import CREDENTIALS_VARIABLE, credential_files
from previewops.settings import Settings
from previewops.supervisor.backend import WorkerHandle
from previewops.supervisor.log_tail import LogSource
from previewops.supervisor.process_backend import BuildArgv
from previewops.supervisor.unit_hardening import hardening_properties, hidden_folders, is_hidden

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
    {
        "INVOCATION_ID", "JOURNAL_STREAM", "MAINPID", "MANAGERPID", "SYSTEMD_EXEC_PID", CREDENTIALS_VARIABLE,
        "LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES",
    }
)  # fmt: skip
_ENVIRONMENT_SUFFIX = ".env"


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
        """Removes the environments that a killed supervisor has left in ``folder`` or in memory.

        Raises:
            UsageError: the hardened units could not see the program or DATA_DIR.
        """
        self._build_argv = build_argv
        self._is_system = os.geteuid() == 0
        self._data_dir = settings.data_dir.resolve()
        if self._is_system:
            _check_visible(self._data_dir)
        memory_mb = settings.worker_concurrency * settings.memory_limit_mb + OWN_MEMORY_MB
        self._limits = {
            "MemoryMax": memory_mb * MIB,
            "CPUWeight": CPU_WEIGHT,
            "TimeoutStopSec": f"{settings.drain_timeout_s + STOP_AFTER_DRAIN_S}s",
        }
        owner = f"{settings.queue_name}\0{settings.data_dir.resolve()}"
        tag = hashlib.sha256(owner.encode()).hexdigest()[:8]
        self._prefix = f"previewops-worker-{tag}-"
        self._manager = [] if self._is_system else ["--user"]
        self._folder = _runtime_folder(os.environ, folder, system=self._is_system) / tag
        _make_private_empty(self._folder)
        for left_over in folder.glob(f"*{_ENVIRONMENT_SUFFIX}"):
            left_over.unlink(missing_ok=True)

    async def start(self, worker_id: str, slot_number: int, environ: Mapping[str, str]) -> WorkerHandle:
        """Starts a worker. Raises OSError if systemd-run cannot be run, or the unit does not start."""
        file = self._folder / f"{worker_id}{_ENVIRONMENT_SUFFIX}"
        try:
            file.touch(mode=0o600)
            file.write_text(format_environment_file(environ), "utf-8")
            return await self._start_unit(worker_id, file)
        finally:
            file.unlink(missing_ok=True)  # systemd has read it, or never will

    async def _start_unit(self, worker_id: str, file: Path) -> WorkerHandle:
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
        reason = stderr.decode("utf-8", "replace").strip() or "the unit has no process"
        raise OSError(f"systemd-run: {reason}")

    def _options(self, worker_id: str, environment: Path) -> list[str]:
        properties = [
            ("EnvironmentFile", environment),
            ("KillMode", "mixed"),
            ("OOMPolicy", "continue"),
            *self._limits.items(),
            *hardening_properties(self._data_dir, system=self._is_system),
            *self._owner(),
            *(("LoadCredential", f"{path.name}:{path}") for path in credential_files(os.environ)),
        ]
        folder = Path.cwd()
        if self._is_system and is_hidden(folder):
            folder = self._data_dir
        return [
            f"--unit={self._unit(worker_id)}",
            f"--description=previewops: worker {worker_id}",
            "--wait",
            "--collect",
            "--service-type=notify",
            f"--working-directory={folder}",
            *(f"--property={name}={value}" for name, value in properties),
        ]

    def _owner(self) -> list[tuple[str, int]]:
        """Returns the user and group of the units: those of DATA_DIR, which the workers write."""
        if not self._is_system:
            return []
        status = self._data_dir.stat()
        return [("User", status.st_uid), ("Group", status.st_gid)]

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
        """Does nothing: systemd collects the unit."""

    def log_source(self, number: int, worker_id: str) -> LogSource:
        return ("journalctl", *self._manager, "-u", self._unit(worker_id))

    def _unit(self, worker_id: str) -> str:
        return f"{self._prefix}{worker_id}.service"

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


def _check_visible(data_dir: Path) -> None:
    program = {Path(__file__).resolve().parent, Path(sys.prefix).resolve(), Path(sys.base_prefix).resolve()}
    folders = [("program folder", folder, "/opt/previewops") for folder in sorted(program)]
    problems = hidden_folders([*folders, ("DATA_DIR", data_dir, "/var/lib/previewops")])
    if problems:
        raise UsageError("; ".join(problems), hint="move it, or use --backend process")


def _runtime_folder(environ: Mapping[str, str], fallback: Path, *, system: bool) -> Path:
    """Returns the folder in memory for files of this program; ``fallback`` for a user without one."""
    if system:
        return Path("/run/previewops")
    folder = Path(environ.get("XDG_RUNTIME_DIR", ""))
    return folder / "previewops" if folder.is_absolute() else fallback / "environments"


def _make_private_empty(folder: Path) -> None:
    """Creates a folder that only this user can open, or empties it."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder.chmod(0o700)
    for left_over in folder.iterdir():
        left_over.unlink(missing_ok=True)


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
