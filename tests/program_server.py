"""Runs command lines in forks of one process that has imported the program.

Most of a short command's processor time is Python's start and its imports. A fork of a process that has done both
behaves as the program does: a process of its own, with its own arguments, environment, folder and streams.
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
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any

MAX_REQUEST_BYTES = 100_000
"""Less than a Unix socket's send buffer."""
_STATUS = struct.Struct("i")
_START_PROCESSES = frozenset({"api", "render", "supervise", "tui", "up", "worker"})
_READ_BY_PYTHON_AT_START = ("PYTHON", "LC_", "LANG", "LD_", "TZ", "COVERAGE")
_IMPORTED_LATE = (
    "previewops.queue.queue",
    "previewops.snapshot.reader",
    "redis.asyncio",
    "jsonschema.validators",
    "jsonschema_rs",
)


def can_be_forked(arguments: Sequence[str], env: Mapping[str, str]) -> bool:
    """Returns whether a command does the same in a fork as in a program started for it."""
    changed = [name for name in env if env[name] != os.environ.get(name)]
    return (
        sys.platform == "linux"
        and _START_PROCESSES.isdisjoint(arguments)
        and not any(name.startswith(_READ_BY_PYTHON_AT_START) for name in changed)
        and all(word.isascii() for word in arguments)  # others depend on the locale at the start
    )


@cache
def program_server() -> ProgramServer:
    """Returns the server of this process."""
    return ProgramServer()


class ProgramServer:
    """The process that has imported the program. It ends with the process that started it."""

    def __init__(self) -> None:
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-W", "error", "-m", __name__, str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                cwd=Path(__file__).parents[1],
                stdin=subprocess.DEVNULL,
            )

    def run(
        self, arguments: Sequence[str], *, cwd: Path, env: Mapping[str, str], stdin: bytes, timeout_s: float
    ) -> tuple[int, bytes, bytes]:
        """Returns the exit code (negative for a signal), standard output and standard error.

        Raises TimeoutError; the command is then killed.
        """
        request = json.dumps({"arguments": list(arguments), "cwd": str(cwd), "env": dict(env)}).encode()
        with TemporaryFile() as given, TemporaryFile() as out, TemporaryFile() as err:
            given.write(stdin)
            given.seek(0)
            status = self._wait_for_status(request, (given, out, err), timeout_s)
            return status, _content(out), _content(err)

    def _wait_for_status(self, request: bytes, streams: Sequence[IO[bytes]], timeout_s: float) -> int:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with ours:
            with theirs:
                socket.send_fds(self._socket, [request], [f.fileno() for f in (theirs, *streams)])
            ours.settimeout(timeout_s)
            reply = ours.recv(_STATUS.size)
        assert reply, "the process that runs command lines has ended"
        status: int = _STATUS.unpack(reply)[0]
        return status


def _content(file: IO[bytes]) -> bytes:
    file.seek(0)
    return file.read()


def _serve(requests: socket.socket) -> None:
    """Forks for each request, until the tests end. A command leaves this function in its own process."""
    _import_program()
    gc.freeze()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # reaps the processes that report
    while True:
        request, handles, _, _ = socket.recv_fds(requests, MAX_REQUEST_BYTES, 4)
        if not request:
            return
        if os.fork() == 0:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            requests.close()
            _run_and_report(json.loads(request), handles)
            return
        for handle in handles:
            os.close(handle)


def _import_program() -> None:
    from previewops.cli.program import COMMANDS

    targets = (entry.target.partition(":")[0] for entry in COMMANDS.values())
    for name in (*targets, *_IMPORTED_LATE):
        importlib.import_module(name)


def _run_and_report(request: dict[str, Any], handles: list[int]) -> None:
    """Runs the command in a process of its own and reports its status. Kills it if nobody waits for it."""
    caller, *streams = handles
    pid = os.fork()
    if pid == 0:
        os.close(caller)
        _run(request, streams)
        return
    ended = os.pidfd_open(pid)
    select.select([ended, caller], [], [])
    os.kill(pid, signal.SIGKILL)  # without effect on a process that has ended
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    with suppress(BrokenPipeError):
        os.write(caller, _STATUS.pack(status))
    os._exit(0)


def _run(request: dict[str, Any], streams: list[int]) -> None:
    for target, handle in enumerate(streams):
        os.dup2(handle, target)
        os.close(handle)
    os.chdir(request["cwd"])
    os.environ.clear()
    os.environ.update(request["env"])
    sys.argv[1:] = request["arguments"]
    runpy.run_module("previewops", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    with socket.socket(fileno=int(sys.argv[1])) as from_tests:
        _serve(from_tests)
