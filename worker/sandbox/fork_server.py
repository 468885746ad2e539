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
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from previewops.worker.sandbox.fork_server_process import EXITED, FAILED, FORK, REPORT

EXIT_TIMEOUT_S = 5.0
"""How long to wait for a killed process, which exits at once unless it hangs in the kernel."""
_PROGRAM = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "from previewops.worker.sandbox.fork_server_process import main; "
    "main(int(sys.argv[2]), int(sys.argv[3]), sys.argv[4:])"
)
INHERITED_PREFIXES: tuple[str, ...] = (
    "PATH",
    "HOME",
    "TMPDIR",
    "TZ",
    "LANG",
    "LC_",
    "LD_",
    "PYTHON",
    "GLIBC_",
    "MALLOC_",
    "PILLOW_",
)
"""Prefixes of the environment variables that are passed on: search paths, and how libraries behave. No secrets."""


class ForkedProcess:
    """One process of the fork server.

    ``started`` becomes True once ``pid`` is known, False if the server died first, an OSError if the fork failed.
    ``exited`` becomes the exit code: negative is minus the signal, None is unknown because the server died.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._pidfd: int | None = None
        self._killed = False
        self.pid = 0
        self.started: asyncio.Future[bool] = self._loop.create_future()
        self.exited: asyncio.Future[int | None] = self._loop.create_future()

    def kill(self) -> None:
        """Sends SIGKILL, or does so once the process has started. By pidfd, as a pid can be reused."""
        self._killed = True
        if self._pidfd is not None:
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)

    def set_started(self, pid: int, pidfd: int) -> None:
        """Records the fork."""
        self.pid, self._pidfd = pid, pidfd
        if not self.started.done():
            self.started.set_result(True)
        if self._killed:
            self.kill()

    def set_failed(self, error: OSError) -> None:
        """Records that the fork failed."""
        if not self.started.done():
            self.started.set_exception(error)
        self.set_exited(None)

    def set_exited(self, code: int | None) -> None:
        """Records the end."""
        if self._pidfd is not None:
            os.close(self._pidfd)
            self._pidfd = None
        if not self.exited.done():
            self.exited.set_result(code)

    def set_orphaned(self) -> None:
        """Records that the server died. The kernel kills its processes; this waits for that."""
        if not self.started.done():
            self.started.set_result(False)
        if self._pidfd is None:
            self.set_exited(None)
            return
        self.kill()
        self._loop.add_reader(self._pidfd, self._on_orphan_exit, self._pidfd)

    def _on_orphan_exit(self, pidfd: int) -> None:
        self._loop.remove_reader(pidfd)
        self.set_exited(None)


class ForkServer:
    """A fork server that imports ``preload``. The first ``fork`` starts it, and the first after its death."""

    def __init__(self, preload: Sequence[str]) -> None:
        self._preload = tuple(preload)
        self._process: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None
        self._requested: deque[ForkedProcess] = deque()
        self._running: dict[int, ForkedProcess] = {}  # by pid

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
        try:
            socket.send_fds(control, [FORK], [end.fileno() for end in sockets])
        except ConnectionError:
            self._on_lost()
            raise
        process = ForkedProcess()
        self._requested.append(process)
        return process

    def close(self) -> None:
        """Kills the server and reaps it. Its processes have ended by then."""
        if self._control is not None:
            self._on_lost()

    def _start(self) -> socket.socket:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        sys_path = json.dumps([entry or str(Path.cwd()) for entry in sys.path])
        try:
            process = subprocess.Popen(  # noqa: S603 - this interpreter
                [
                    sys.executable,
                    "-c",
                    _PROGRAM,
                    sys_path,
                    str(theirs.fileno()),
                    str(os.getpid()),
                    *self._preload,
                ],
                stdin=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                env={
                    name: value for name, value in os.environ.items() if name.startswith(INHERITED_PREFIXES)
                },
            )
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
        ours.setblocking(False)
        self._process, self._control = process, ours
        asyncio.get_running_loop().add_reader(ours, self._on_report)
        return ours

    def _on_report(self) -> None:
        assert self._control is not None
        try:
            report, pidfds, _, _ = socket.recv_fds(self._control, REPORT.size, 1)
        except BlockingIOError:
            return
        except ConnectionError:
            report = b""
        if not report:
            self._on_lost()
            return
        kind, pid, code = REPORT.unpack(report)
        if kind == EXITED:
            self._running.pop(pid).set_exited(code)
            return
        process = self._requested.popleft()
        if kind == FAILED or not pidfds:  # without a pidfd: this process is out of descriptors
            code = code or errno.EMFILE
            process.set_failed(OSError(code, os.strerror(code)))
        else:
            process.set_started(pid, pidfds[0])
        if kind != FAILED:
            self._running[pid] = process

    def _on_lost(self) -> None:
        """Drops a server that has died or must die."""
        assert self._control is not None
        assert self._process is not None
        asyncio.get_running_loop().remove_reader(self._control)
        self._control.close()
        self._process.kill()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(EXIT_TIMEOUT_S)  # takes milliseconds
        self._control = self._process = None
        for process in (*self._requested, *self._running.values()):
            process.set_orphaned()
        self._requested.clear()
        self._running.clear()
