"""The fork server as the worker holds it: starts it, requests render processes, receives their exit codes.

A fork of a process that has loaded the imaging library starts sooner than an interpreter, and shares its memory.
Why not ``multiprocessing.forkserver``: to await its forks by events takes calls private to ``multiprocessing``, it
adds a resource tracker process, it passes on the whole environment, and there is one for all pools of a process.
"""

from __future__ import annotations

import asyncio
import errno
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from previewops.worker.sandbox.fork_server_process import FORK, REPORT

EXIT_TIMEOUT_S = 5.0
"""How long to wait for a killed process, which exits at once unless it hangs in the kernel."""
_PROGRAM = (
    "import json, sys; sys.path[:], *arguments = json.loads(sys.argv[1]); "
    "from previewops.worker.sandbox.fork_server_process import main; main(*arguments)"
)
INHERITED_PREFIXES: tuple[str, ...] = ("PATH", "HOME", "TMPDIR", "TZ", "LANG", "LC_", "PYTHON")
INHERITED_PREFIXES += ("LD_", "GLIBC_", "MALLOC_", "PILLOW_")
"""Prefixes of the environment variables that are passed on: search paths, and how libraries behave. No secrets."""


class ForkedProcess:
    """One process of the fork server, which reports to ``status``.

    ``started`` becomes True once ``pid`` is known, False if the server died first, an OSError if the fork failed.
    ``exited`` becomes the exit code: negative is minus the signal, None is unknown because the server died.
    """

    def __init__(self, status: socket.socket) -> None:
        self._loop = asyncio.get_running_loop()
        self._status = status
        self._pidfd: int | None = None
        self._killed = False
        self.pid = 0
        self.started: asyncio.Future[bool] = self._loop.create_future()
        self.exited: asyncio.Future[int | None] = self._loop.create_future()
        self._loop.add_reader(status, self._on_report)

    def kill(self) -> None:
        """Sends SIGKILL, or does so once the process has started. By pidfd, as a pid can be reused."""
        self._killed = True
        if self._pidfd is not None:
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)

    def _on_report(self) -> None:
        report, pidfds, _, _ = socket.recv_fds(self._status, REPORT.size, 1)
        if not report:
            self._on_server_death()
            return
        pid, code = REPORT.unpack(report)
        if self._pidfd is not None:
            self._set_exited(code)
        elif pidfds:
            self.pid, self._pidfd = pid, pidfds[0]
            if not self.started.done():
                self.started.set_result(True)
            if self._killed:
                self.kill()
        else:  # the fork failed, or this process is out of descriptors
            code = code or errno.EMFILE
            if not self.started.done():
                self.started.set_exception(OSError(code, os.strerror(code)))
            self._set_exited(None)

    def _on_server_death(self) -> None:
        """The kernel kills the server's processes; this waits for that."""
        if not self.started.done():
            self.started.set_result(False)
        if self._pidfd is None:
            self._set_exited(None)
            return
        self.kill()
        self._loop.remove_reader(self._status)
        self._loop.add_reader(self._pidfd, self._set_exited, None)

    def _set_exited(self, code: int | None) -> None:
        self._loop.remove_reader(self._status)
        self._status.close()
        if self._pidfd is not None:
            self._loop.remove_reader(self._pidfd)
            os.close(self._pidfd)
            self._pidfd = None
        if not self.exited.done():
            self.exited.set_result(code)


class ForkServer:
    """A fork server that imports ``preload``. The first ``fork`` starts it, and the first after its death."""

    def __init__(self, preload: Sequence[str]) -> None:
        self._preload = preload
        self._process: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None

    @property
    def pid(self) -> int | None:
        """Process id of the server, None while there is none."""
        return self._process.pid if self._process is not None else None

    def fork(self, *sockets: socket.socket) -> ForkedProcess:
        """Requests a process that runs ``child.main`` with ``sockets``. Await its ``started`` first.

        Raises:
            OSError: the server cannot be started or reached. After a ConnectionError another call may succeed.
        """
        control = self._control or self._start()
        status, theirs = _socket_pair()
        try:
            socket.send_fds(control, [FORK], [end.fileno() for end in (theirs, *sockets)])
        except OSError as error:
            status.close()
            if isinstance(error, ConnectionError):
                self.close()
            raise
        finally:
            theirs.close()
        return ForkedProcess(status)

    def close(self) -> None:
        """Kills the server, if there is one, and reaps it. Its processes have ended by then, or end now."""
        if self._control is None or self._process is None:
            return
        asyncio.get_running_loop().remove_reader(self._control)
        self._control.close()
        self._process.kill()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(EXIT_TIMEOUT_S)  # takes milliseconds
        self._control = self._process = None

    def _start(self) -> socket.socket:
        control, theirs = _socket_pair()
        sys_path = [entry or str(Path.cwd()) for entry in sys.path]
        inherited = {name: value for name, value in os.environ.items() if name.startswith(INHERITED_PREFIXES)}
        try:
            self._process = subprocess.Popen(  # noqa: S603 - this interpreter
                [sys.executable, "-c", _PROGRAM, json.dumps([sys_path, os.getpid(), *self._preload])],
                stdin=theirs.fileno(),
                env=inherited,
            )
        except BaseException:
            control.close()
            raise
        finally:
            theirs.close()
        self._control = control
        asyncio.get_running_loop().add_reader(control, self.close)  # its end: the server never writes
        return control


def _socket_pair() -> tuple[socket.socket, socket.socket]:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.setblocking(False)
    return ours, theirs
