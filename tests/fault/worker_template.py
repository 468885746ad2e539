"""Starts workers under test as forks of one process that has imported the worker.

Most of a start is Python and its imports, and the tests of faults start hundreds of workers. A fork is a process of
its own, with its own environment, session and log; only its command line is that of the template.
"""

from __future__ import annotations

import gc
import json
import os
import select
import signal
import socket
import struct
import subprocess
import sys
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


def can_be_forked(env: Mapping[str, str]) -> bool:
    """Returns whether a worker does the same in a fork as in a program started with ``env``."""
    changed = [name for name in env if env[name] != os.environ.get(name) and name != "PYTHONPATH"]
    return sys.platform == "linux" and not any(name.startswith(_READ_BY_PYTHON_AT_START) for name in changed)


class ForkedProcess:
    """A worker. It has the methods of ``subprocess.Popen`` that tests use."""

    def __init__(self, channel: socket.socket) -> None:
        pid, handles, _, _ = socket.recv_fds(channel, _NUMBER.size, 1)
        assert pid, "the template of the workers has ended"
        self.pid: int = _NUMBER.unpack(pid)[0]
        (self._pidfd,) = handles
        self._channel = channel
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """Returns the exit status, negative for a signal, and None while the worker runs."""
        return self._status(0)

    def wait(self, timeout: float | None = None) -> int:
        """Waits for the exit and returns its status."""
        status = self._status(timeout)
        if status is None:
            raise subprocess.TimeoutExpired(f"worker {self.pid}", timeout or 0)
        return status

    def send_signal(self, signum: signal.Signals) -> None:
        if self.returncode is None:
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._pidfd, signum)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def _status(self, timeout: float | None) -> int | None:
        if self.returncode is None and select.select([self._channel], [], [], timeout)[0]:
            status = self._channel.recv(_NUMBER.size)
            self.returncode = _NUMBER.unpack(status)[0] if status else -signal.SIGKILL
            self._channel.close()
            os.close(self._pidfd)
        return self.returncode


@cache
def worker_template() -> WorkerTemplate:
    """Returns the template of this process."""
    return WorkerTemplate()


class WorkerTemplate:
    """The process that has imported the worker. It and its workers end with the process that started it."""

    def __init__(self) -> None:
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.fault.worker_under_test", "--template", str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                cwd=Path(__file__).parents[2],
                stdin=subprocess.DEVNULL,
            )

    def start(self, name: str, env: Mapping[str, str], log: IO[bytes]) -> ForkedProcess:
        """Starts a worker that writes its output to ``log``."""
        request = json.dumps({"name": name, "env": dict(env)}).encode()
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            socket.send_fds(self._socket, [request], [theirs.fileno(), log.fileno()])
        return ForkedProcess(ours)


def fork_workers(handle: int) -> str:
    """Forks for each request, until the tests end. Returns in each worker, with its name."""
    gc.freeze()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # reaps the processes that report
    with socket.socket(fileno=handle) as requests:
        while True:
            request, handles, _, _ = socket.recv_fds(requests, MAX_REQUEST_BYTES, 2)
            if not request:
                os._exit(0)
            if os.fork() == 0:
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                requests.close()
                return _fork_worker(json.loads(request), *handles)
            for received in handles:
                os.close(received)


def _fork_worker(request: dict[str, Any], caller: int, log: int) -> str:
    """Forks and returns in the worker. The parent reports pid and status, and kills it if nobody waits for it."""
    parent = os.getpid()
    pid = os.fork()
    if pid == 0:
        os.close(caller)
        _become_worker(request, log)
        if not set_parent_death_signal(parent, signal.SIGKILL):
            os._exit(1)
        return str(request["name"])
    ended = os.pidfd_open(pid)
    with socket.socket(fileno=caller) as reply, suppress(BrokenPipeError):
        socket.send_fds(reply, [_NUMBER.pack(pid)], [ended])
        select.select([ended, reply], [], [])
        os.kill(pid, signal.SIGKILL)  # without effect on a process that has ended
        reply.send(_NUMBER.pack(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])))
    os._exit(0)


def _become_worker(request: dict[str, Any], log: int) -> None:
    os.setsid()
    for target in (1, 2):
        os.dup2(log, target)
    os.close(log)
    os.environ.clear()
    os.environ.update(request["env"])
    time.tzset()
