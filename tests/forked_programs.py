"""Starts programs under test as forks of one process that has imported previewops.

Most of a start is Python and its imports, and tests start more than a thousand programs. A fork is a process of its
own, with its own arguments, environment, folder and streams; only its command line is that of the template.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import runpy
import select
import selectors
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from functools import cache
from pathlib import Path
from typing import IO, Any, Self

from previewops.process.parent_death import set_parent_death_signal

ROOT = Path(__file__).parents[1]
MAX_REQUEST_BYTES = 100_000
"""Less than a Unix socket's send buffer."""
_NUMBER = struct.Struct("i")
_READ_BY_PYTHON_AT_START = ("PYTHON", "LC_", "LANG", "LD_", "TZ", "COVERAGE")
_IMPORTED_LATE = (
    "jsonschema.validators",
    "jsonschema_rs",
    "previewops.logs.setup",
    "previewops.queue.queue",
    "previewops.snapshot.reader",
    "previewops.supervisor.factory",
    "previewops.worker.main",
    "previewops.worker.webhooks.delivery",
    "redis.asyncio",
    # A worker imports these with its first webhook, and the REST API its server when it starts.
    *("anyio._backends._asyncio", "h11", "httpcore", "previewops.api.server"),
)

Stream = int | IO[bytes] | None
"""As in ``subprocess``: PIPE, DEVNULL, a descriptor, a file, or None for the stream of this process."""


def can_be_forked(env: Mapping[str, str], arguments: Sequence[str] = ()) -> bool:
    """Returns whether a program does the same in a fork as in a process started with ``env``."""
    changed = [name for name in env if env[name] != os.environ.get(name)]
    if env.get("PYTHONPATH") == str(ROOT):
        changed = [name for name in changed if name != "PYTHONPATH"]
    return (
        sys.platform == "linux"
        and not any(name.startswith(_READ_BY_PYTHON_AT_START) for name in changed)
        and all(word.isascii() for word in arguments)  # others depend on the locale at the start
    )


class ForkedProcess:
    """A process under test. It has the methods of ``subprocess.Popen`` that tests use."""

    def __init__(self, channel: socket.socket, pipes: Mapping[int, IO[bytes]]) -> None:
        pid, handles, _, _ = socket.recv_fds(channel, _NUMBER.size, 1)
        assert pid, "the template has ended"
        self.pid: int = _NUMBER.unpack(pid)[0]
        (self._pidfd,) = handles
        self._channel = channel
        self._lock = threading.Lock()
        self.returncode: int | None = None
        self.stdin, self.stdout, self.stderr = (pipes.get(number) for number in range(3))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for pipe in (self.stdin, self.stdout, self.stderr):
            if pipe is not None:
                with suppress(BrokenPipeError):
                    pipe.close()
        self.wait()

    def poll(self) -> int | None:
        """Returns the exit status, negative for a signal, and None while it runs."""
        return self._status(0)

    def wait(self, timeout: float | None = None) -> int:
        """Waits for the exit and returns its status."""
        status = self._status(timeout)
        if status is None:
            raise subprocess.TimeoutExpired(f"process {self.pid}", timeout or 0)
        return status

    def communicate(self, timeout: float | None = None) -> tuple[bytes, bytes]:
        """Reads its outputs to their ends, and waits for the exit."""
        deadline = None if timeout is None else time.monotonic() + timeout
        outputs: dict[Any, bytes] = {}
        with selectors.DefaultSelector() as selector:
            for pipe in filter(None, (self.stdout, self.stderr)):
                outputs[pipe] = b""
                selector.register(pipe, selectors.EVENT_READ)
            while selector.get_map():
                left = None if deadline is None else max(0.0, deadline - time.monotonic())
                ready = selector.select(left)
                if not ready:
                    raise subprocess.TimeoutExpired(f"process {self.pid}", timeout or 0)
                for key, _ in ready:
                    part = os.read(key.fd, 65_536)
                    outputs[key.fileobj] += part
                    if not part:
                        selector.unregister(key.fileobj)
                        key.fileobj.close()
        self.wait(None if deadline is None else max(0.0, deadline - time.monotonic()))
        return outputs.get(self.stdout, b""), outputs.get(self.stderr, b"")

    def send_signal(self, signum: int) -> None:
        if self.returncode is None:
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._pidfd, signum)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

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
def program_template() -> ProgramTemplate:
    """Returns the template of this process."""
    return ProgramTemplate()


class ProgramTemplate:
    """The process that has imported the program. It and its forks end with the process that started it."""

    def __init__(self) -> None:
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-W", "error", "-m", __name__, str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
            )

    def start(
        self,
        module: str,
        *arguments: str,
        env: Mapping[str, str],
        cwd: Path | None = None,
        stdin: Stream = subprocess.DEVNULL,
        stdout: Stream = None,
        stderr: Stream = None,
        new_session: bool = False,
    ) -> ForkedProcess:
        """Starts ``python -W error -m module arguments``."""
        spec = {"module": module, "arguments": arguments, "env": dict(env), "session": new_session}
        request = json.dumps({**spec, "cwd": str(cwd or Path.cwd())}).encode()
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        pipes: dict[int, IO[bytes]] = {}
        with theirs, ExitStack() as stack:
            streams = [
                self._descriptor(number, stream, pipes, stack)
                for number, stream in enumerate((stdin, stdout, stderr))
            ]
            socket.send_fds(self._socket, [request], [theirs.fileno(), *streams])
        return ForkedProcess(ours, pipes)

    def _descriptor(self, number: int, stream: Stream, pipes: dict[int, IO[bytes]], stack: ExitStack) -> int:
        """Returns the descriptor of a stream for the program. The end of a pipe that stays here goes to ``pipes``."""
        if stream is None:
            return number
        if stream == subprocess.DEVNULL:
            return stack.enter_context(Path(os.devnull).open("r+b", buffering=0)).fileno()
        if stream == subprocess.PIPE:
            reading, writing = os.pipe()
            theirs, ours = (reading, writing) if number == 0 else (writing, reading)
            stack.callback(os.close, theirs)
            pipes[number] = os.fdopen(ours, "wb" if number == 0 else "rb")
            return theirs
        return stream if isinstance(stream, int) else stream.fileno()


def _serve(requests: socket.socket) -> None:
    """Forks for each request, until the tests end. A program leaves this function in its own process."""
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
            _run_and_report(json.loads(request), *handles)
            return
        for received in handles:
            os.close(received)


def _import_program() -> None:
    from previewops.cli.program import COMMANDS

    targets = (entry.target.partition(":")[0] for entry in COMMANDS.values())
    for name in (*targets, *_IMPORTED_LATE):
        importlib.import_module(name)


def _run_and_report(request: dict[str, Any], caller: int, *streams: int) -> None:
    """Runs the program in a process of its own and reports its pid and status. Kills it if nobody waits for it."""
    parent = os.getpid()
    pid = os.fork()
    if pid == 0:
        os.close(caller)
        if set_parent_death_signal(parent, signal.SIGKILL):
            _run(request, streams)
        return
    for stream in streams:
        os.close(stream)
    ended = os.pidfd_open(pid)
    with socket.socket(fileno=caller) as reply, suppress(BrokenPipeError):
        socket.send_fds(reply, [_NUMBER.pack(pid)], [ended])
        select.select([ended, reply], [], [])
        os.kill(pid, signal.SIGKILL)  # without effect on a process that has ended
        reply.send(_NUMBER.pack(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])))
    os._exit(0)


def _run(request: dict[str, Any], streams: Sequence[int]) -> None:
    if request["session"]:
        os.setsid()
    for target, stream in enumerate(streams):
        os.dup2(stream, target)
        os.close(stream)
    _open_streams()
    os.chdir(request["cwd"])
    os.environ.clear()
    os.environ.update(request["env"])
    time.tzset()
    sys.argv[1:] = request["arguments"]
    runpy.run_module(request["module"], run_name="__main__", alter_sys=True)


def _open_streams() -> None:
    """Opens the text streams as Python does at its start: those of the template remember what its own can do."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        old = getattr(sys, name)
        line = number > 0 and (name == "stderr" or os.isatty(number))
        stream = open(  # noqa: SIM115 - as long as the process
            number,
            "w" if number else "r",
            buffering=1 if line else -1,
            encoding=old.encoding,
            errors=old.errors,
            closefd=False,
        )
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)


if __name__ == "__main__":
    with socket.socket(fileno=int(sys.argv[1])) as from_tests:
        _serve(from_tests)
