"""What runs inside a render process: hardening first, then one task after another until the worker hangs up.

Imported by the fork server, so it imports nothing heavy and nothing of the queue; the task's own module is
imported here, in the child, and is cheap when the fork server has preloaded what it needs.

Protocol, over one stream socket, frames as in ``framing``::

    child  -> worker   {"ready": true} | {"error": {...}}     once: hardened, and the task imported or not
    worker -> child    {"job": n, "spec": {...}}
    child  -> worker   {"job": n, "progress": [fraction, text]}      any number of times
    child  -> worker   {"job": n, "result": {...}} | {"job": n, "error": {...}}
"""

from __future__ import annotations

import importlib
import os
import resource
import signal
import socket
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import forkserver
from pathlib import Path
from typing import Any, NoReturn

from previewops.errors import JobError
from previewops.tether import tie
from previewops.worker.framing import HEADER, BadFrame, body_length, decode, encode

TRACEBACK_LIMIT = 8 * 1024
"""Characters of a traceback that are sent: the last ones, where the cause is."""
MESSAGE_LIMIT = 2_000
"""Characters of an exception's message that are sent."""

Progress = Callable[[float, str], None]
Task = Callable[[dict[str, Any], Progress], dict[str, Any]]

_OPEN_FILES = 256
_OOM_SCORE_ADJ = 500  # of 1000: the kernel's killer takes a render process before the worker


@dataclass(frozen=True, slots=True)
class ChildStart:
    """What the fork server's new process is told; pickled by the worker, which the child trusts.

    ``task`` is "module:function"; ``memory_limit_bytes`` bounds the address space.
    """

    task: str
    memory_limit_bytes: int

    def _bootstrap(self, parent_sentinel: int) -> NoReturn:
        """The process's life; the name is what the standard library's fork server calls."""
        inherited = forkserver.get_inherited_fds()
        assert inherited, "started by something else than the fork server"
        try:
            harden(inherited[0], self.memory_limit_bytes)
            _serve(_Channel(inherited[0]), self)
        except _HungUp:
            os._exit(0)  # recycled, or the worker is gone
        except SystemExit:
            os._exit(1)
        except BaseException:
            traceback.print_exc()
            os._exit(1)


class _HungUp(BaseException):
    """The worker closed its end. No Exception, so that no task takes it for one of its own connections."""


class _Channel:
    """The child's end of the socket, blocking."""

    def __init__(self, fd: int) -> None:
        self._socket = socket.socket(fileno=fd)

    def send(self, message: dict[str, Any]) -> None:
        """Raises BadFrame when ``message`` cannot be sent, ``_HungUp`` when nobody is there."""
        frame = encode(message)
        try:
            self._socket.sendall(frame)
        except ConnectionError as error:
            raise _HungUp from error

    def receive(self) -> dict[str, Any]:
        """The next message, however long it takes."""
        return decode(self._exactly(body_length(self._exactly(HEADER.size))))

    def _exactly(self, count: int) -> bytes:
        received = bytearray()
        while len(received) < count:
            try:
                piece = self._socket.recv(count - len(received))
            except ConnectionError as error:
                raise _HungUp from error
            if not piece:
                raise _HungUp
            received += piece
        return bytes(received)


def harden(channel: int, memory_limit_bytes: int) -> None:
    """Limits this process, and leaves it no file but ``channel`` and the standard three.

    Closing the rest matters beyond tidiness: the fork server hands every child a copy of the pipe that
    keeps the server itself alive, and a child that held on to it in a long loop would outlive a killed
    worker.
    """
    _die_with_parent()
    # A signal from the terminal reaches the whole group; what it means is the worker's to decide.
    for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(ignored, signal.SIG_IGN)
    devnull = os.open(os.devnull, os.O_RDONLY)
    os.dup2(devnull, 0)
    os.dup2(2, 1)  # stdout belongs to the command's own output
    os.closerange(3, channel)
    os.closerange(channel + 1, os.sysconf("SC_OPEN_MAX"))
    os.umask(0o022)  # bundles are for others to read
    with suppress(OSError):  # not everywhere is /proc writable
        Path("/proc/self/oom_score_adj").write_text(str(_OOM_SCORE_ADJ), encoding="ascii")
    for limit, value in (
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NOFILE, _OPEN_FILES),
        (resource.RLIMIT_AS, memory_limit_bytes),
    ):
        _, hard = resource.getrlimit(limit)
        bound = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(limit, (bound, bound))


def _die_with_parent() -> None:
    """Asks the kernel for SIGKILL when the fork server ends.

    A server that ended before the first look at the parent leaves this process waiting for a job that never
    comes: the worker sends none to a child whose server is gone, and the end of the worker is the end of the
    channel.
    """
    if not tie(os.getppid(), signal.SIGKILL):
        os._exit(0)


def _serve(channel: _Channel, start: ChildStart) -> NoReturn:
    try:
        task = _load(start.task)
    except Exception as error:
        channel.send({"error": _described(error, start.memory_limit_bytes)})
        if isinstance(error, ImportError):
            raise SystemExit(1) from None  # said in one line by the worker
        raise
    channel.send({"ready": True})
    while True:
        request = channel.receive()
        _run(channel, task, request["job"], request["spec"], start.memory_limit_bytes)


def _load(name: str) -> Task:
    module, _, function = name.partition(":")
    task: Task = getattr(importlib.import_module(module), function)
    return task


def _run(channel: _Channel, task: Task, job: int, spec: dict[str, Any], memory_limit_bytes: int) -> None:
    def progress(fraction: float, text: str) -> None:
        channel.send({"job": job, "progress": [fraction, text]})

    try:
        channel.send({"job": job, "result": task(spec, progress)})
    except _HungUp:
        raise
    except BaseException as error:  # SystemExit of a task too: the process is not the task's to end
        described = _described(error, memory_limit_bytes)
        try:
            channel.send({"job": job, "error": described})
        except BadFrame:
            channel.send({"job": job, "error": {**described, "data": {}}})


def _described(error: BaseException, memory_limit_bytes: int) -> dict[str, Any]:
    """``error`` as the JSON object that ``previewops.worker.sandbox`` turns into an exception again."""
    described: dict[str, Any] = {
        "kind": "unexpected",
        "class": type(error).__name__,
        "message": str(error)[:MESSAGE_LIMIT],
        "traceback": "".join(traceback.format_exception(error))[-TRACEBACK_LIMIT:],
        "data": {},
    }
    if isinstance(error, JobError):
        described |= {"kind": error.kind.value, "code": error.code, "hint": error.hint, "data": error.data}
    elif isinstance(error, MemoryError):
        described |= {
            "kind": "out-of-memory",
            "data": {"found": _peak_address_space_bytes(), "allowed": memory_limit_bytes},
        }
    return described


def _peak_address_space_bytes() -> int:
    """The most that was ever mapped: what was asked for and refused is known to nobody."""
    for line in Path("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines():
        if line.startswith("VmPeak:"):
            return int(line.split()[1]) * 1024
    return 0
