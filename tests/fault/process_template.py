"""Starts workers and supervisors under test as forks of one process that has imported the program.

Most of a start is Python and its imports, and the tests of faults start hundreds of processes. A fork is a process of
its own, with its own environment, session and log; only its command line is that of the template.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import runpy
import select
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import IO, Any

from previewops.process.parent_death import set_parent_death_signal

MAX_REQUEST_BYTES = 100_000
"""Less than a Unix socket's send buffer."""
_NUMBER = struct.Struct("i")
_READ_BY_PYTHON_AT_START = ("PYTHON", "LC_", "LANG", "LD_", "TZ")
_IMPORTED = (
    "previewops.cli.supervise",
    "previewops.logs.setup",
    "previewops.supervisor.factory",
    "previewops.worker.main",
    "previewops.worker.webhooks.delivery",
    # A worker imports these with its first webhook, and the REST API its server when it starts.
    *("anyio._backends._asyncio", "h11", "httpcore", "previewops.api.server"),
)


def can_be_forked(env: Mapping[str, str]) -> bool:
    """Returns whether a program does the same in a fork as in a process started with ``env``."""
    changed = [name for name in env if env[name] != os.environ.get(name) and name != "PYTHONPATH"]
    return sys.platform == "linux" and not any(name.startswith(_READ_BY_PYTHON_AT_START) for name in changed)


class ForkedProcess:
    """A process under test. It has the methods of ``subprocess.Popen`` that tests use."""

    def __init__(self, channel: socket.socket) -> None:
        pid, handles, _, _ = socket.recv_fds(channel, _NUMBER.size, 1)
        assert pid, "the template has ended"
        self.pid: int = _NUMBER.unpack(pid)[0]
        (self._pidfd,) = handles
        self._channel = channel
        self._lock = threading.Lock()
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """Returns the exit status, negative for a signal, and None while it runs."""
        return self._status(0)

    def wait(self, timeout: float | None = None) -> int:
        """Waits for the exit and returns its status."""
        status = self._status(timeout)
        if status is None:
            raise subprocess.TimeoutExpired(f"process {self.pid}", timeout or 0)
        return status

    def send_signal(self, signum: signal.Signals) -> None:
        if self.returncode is None:
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._pidfd, signum)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def _status(self, timeout: float | None) -> int | None:
        if self.returncode is None and select.select([self._channel], [], [], timeout)[0]:
            with self._lock:
                if self.returncode is None:  # another thread may have received it
                    self._receive_status()
        return self.returncode

    def _receive_status(self) -> None:
        status = self._channel.recv(_NUMBER.size)
        self.returncode = _NUMBER.unpack(status)[0] if status else -signal.SIGKILL
        self._channel.close()
        os.close(self._pidfd)


@cache
def process_template() -> ProcessTemplate:
    """Returns the template of this process."""
    return ProcessTemplate()


class ProcessTemplate:
    """The process that has imported the program. It and its forks end with the process that started it."""

    def __init__(self) -> None:
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", __name__, str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                cwd=Path(__file__).parents[2],
                stdin=subprocess.DEVNULL,
            )

    def start(self, module: str, *arguments: str, env: Mapping[str, str], log: IO[bytes]) -> ForkedProcess:
        """Starts ``python -m module arguments`` with its output in ``log``."""
        request = json.dumps({"module": module, "arguments": arguments, "env": dict(env)}).encode()
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            socket.send_fds(self._socket, [request], [theirs.fileno(), log.fileno()])
        return ForkedProcess(ours)


def _serve(requests: socket.socket) -> None:
    """Forks for each request, until the tests end. A program leaves this function in its own process."""
    for name in _IMPORTED:
        importlib.import_module(name)
    gc.freeze()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # reaps the processes that report
    while True:
        request, handles, _, _ = socket.recv_fds(requests, MAX_REQUEST_BYTES, 2)
        if not request:
            return
        if os.fork() == 0:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            requests.close()
            _run_and_report(json.loads(request), *handles)
            return
        for received in handles:
            os.close(received)


def _run_and_report(request: dict[str, Any], caller: int, log: int) -> None:
    """Runs the program in a process of its own and reports its pid and status. Kills it if nobody waits for it."""
    parent = os.getpid()
    pid = os.fork()
    if pid == 0:
        os.close(caller)
        if set_parent_death_signal(parent, signal.SIGKILL):
            _run(request, log)
        return
    ended = os.pidfd_open(pid)
    with socket.socket(fileno=caller) as reply, suppress(BrokenPipeError):
        socket.send_fds(reply, [_NUMBER.pack(pid)], [ended])
        select.select([ended, reply], [], [])
        os.kill(pid, signal.SIGKILL)  # without effect on a process that has ended
        reply.send(_NUMBER.pack(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])))
    os._exit(0)


def _run(request: dict[str, Any], log: int) -> None:
    os.setsid()
    for target in (1, 2):
        os.dup2(log, target)
    os.close(log)
    os.environ.clear()
    os.environ.update(request["env"])
    time.tzset()
    sys.argv[1:] = request["arguments"]
    runpy.run_module(request["module"], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    with socket.socket(fileno=int(sys.argv[1])) as from_tests:
        _serve(from_tests)
