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
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from previewops.worker.sandbox.fork_server_process import FORK, HELLO, REPORT

_CPU_TIME_OF_PROCESS = 2  # of a clock id, see clock_getcpuclockid(3) and linux/posix-timers.h
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

    def cpu_s(self) -> float:
        """Processor time that the process has used, all threads together, s. Raises OSError once it has ended."""
        return time.clock_gettime(~self.pid << 3 | _CPU_TIME_OF_PROCESS)

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
        _, code = REPORT.unpack(report)
        if self._pidfd is not None:
            self._set_exited(code)
        elif pidfds:
            self.pid, self._pidfd = _pid_of(pidfds[0]), pidfds[0]
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
    """A fork server that imports ``preload``. The first ``fork`` starts it, and the first after its death.

    The server of ``confined`` processes may consist of two: the second is the first one in a PID namespace.
    """

    def __init__(self, preload: Sequence[str], *, confined: bool = False) -> None:
        self._preload = preload
        self._confined = confined
        self._process: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None
        self._pidfd: int | None = None  # of the process that forks, once it has started
        self._pid = 0

    @property
    def pids(self) -> list[int]:
        """Process ids of the server, none while there is none."""
        first = [self._process.pid] if self._process is not None else []
        return list(dict.fromkeys([*first, *filter(None, [self._pid])]))

    def fork(self, *ends: int) -> ForkedProcess:
        """Requests a process that runs ``child.main`` with copies of ``ends``. Await its ``started`` first.

        Raises:
            OSError: the server cannot be started or reached. After a ConnectionError another call may succeed.
        """
        control = self._control or self._start()
        status, theirs = _socket_pair()
        try:
            socket.send_fds(control, [FORK], [theirs.fileno(), *ends])
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
        if self._pidfd is not None:
            _kill_and_wait(self._pidfd)
            os.close(self._pidfd)
        self._process.kill()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(EXIT_TIMEOUT_S)  # takes milliseconds
        self._control = self._process = self._pidfd = None
        self._pid = 0

    def _start(self) -> socket.socket:
        control, theirs = _socket_pair()
        sys_path = [str(Path(entry).absolute()) for entry in sys.path]  # render processes leave this folder
        inherited = {name: value for name, value in os.environ.items() if name.startswith(INHERITED_PREFIXES)}
        arguments = [sys_path, os.getpid(), self._confined, *self._preload]
        try:
            self._process = subprocess.Popen(  # noqa: S603 - this interpreter
                [sys.executable, "-c", _PROGRAM, json.dumps(arguments)],
                stdin=theirs.fileno(),
                env=inherited,
            )
        except BaseException:
            control.close()
            raise
        finally:
            theirs.close()
        self._control = control
        asyncio.get_running_loop().add_reader(control, self._on_message)
        return control

    def _on_message(self) -> None:
        """Receives the server's only message, or its end."""
        assert self._control is not None
        try:
            message, pidfds, _, _ = socket.recv_fds(self._control, len(HELLO), 1)
        except ConnectionError:
            message, pidfds = b"", []
        if message and pidfds:
            self._pidfd, self._pid = pidfds[0], _pid_of(pidfds[0])
        elif not message:
            self.close()


def _pid_of(pidfd: int) -> int:
    """The id of a process as this one sees it: the process may see another one. 0 if it has ended."""
    for line in Path(f"/proc/self/fdinfo/{pidfd}").read_text(encoding="ascii").splitlines():
        if line.startswith("Pid:"):
            return max(0, int(line.split()[1]))
    return 0


def _kill_and_wait(pidfd: int) -> None:
    with suppress(ProcessLookupError):
        signal.pidfd_send_signal(pidfd, signal.SIGKILL)
    ended = select.poll()
    ended.register(pidfd, select.POLLIN)
    ended.poll(EXIT_TIMEOUT_S * 1_000)


def _socket_pair() -> tuple[socket.socket, socket.socket]:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.setblocking(False)
    return ours, theirs
