"""What runs inside a render process: hardening first, then one task after another until the worker hangs up.

Imported by the fork server, so it imports nothing heavy and nothing of the queue; the task's own module is
imported here, in the child, and is cheap when the fork server has preloaded what it needs.

Protocol, over one stream socket, frames as in ``framing``::

    worker -> child    {"config": {...}}                      once: see ``ChildConfig``
    child  -> worker   {"ready": true} | {"error": {...}}     once: hardened, and the task imported or not
    worker -> child    {"job": n, "spec": {...}}
    child  -> worker   {"job": n, "progress": [fraction, text]}      any number of times
    child  -> worker   {"job": n, "log": [level, logger, text]}      what a library logs, MAX_LOGGED times at most
    child  -> worker   {"job": n, "ask": {...}}                      any number of times, each answered by
    worker -> child    {"job": n, "answer": {...}} | {"job": n, "error": {...}}
    child  -> worker   {"job": n, "result": {...}} | {"job": n, "error": {...}}

A second socket, the hatch, carries open files: as many as an answer has in ``"files"``. By it a child that may open
nothing gets at its assets and its output.
"""

from __future__ import annotations

import importlib
import json
import logging
import math
import os
import resource
import signal
import socket
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NoReturn

from previewops.process.parent_death import set_parent_death_signal
from previewops.worker.sandbox.confinement import confine, readable_paths
from previewops.worker.sandbox.error_codec import decode_error, encode_error
from previewops.worker.sandbox.framing import HEADER, ProtocolError, body_length, decode_body, encode_frame

Task = Callable[[dict[str, Any], "TaskContext"], dict[str, Any]]

MAX_LOG_LINES = 20
"""Lines of one job that log_forwarder may log: the rest is dropped, by the child and by a worker that distrusts it."""

_MAX_LOG_CHARS = 2_000
_MAX_TRACEBACK_CHARS = 8_192
_OPEN_FILES = 256
_OOM_SCORE_ADJ = 500  # of 1000: the kernel's killer takes a render process before the worker


@dataclass(frozen=True, slots=True)
class ChildLimits:
    """What one render process may use; each None leaves the system's own limit_value.

    ``memory_bytes`` bounds the address space, ``cpu_s`` the processor time of each job, ``file_bytes`` every
    file that is written.
    """

    memory_bytes: int
    cpu_s: int | None = None
    file_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class ChildConfig:
    """What a render process runs, and how it is restricted.

    ``task`` is "module:function"; ``confined`` has the process give up what ``confinement`` names, except reading
    the files of ``readable``.
    """

    task: str
    limits: ChildLimits
    confined: bool = False
    readable: tuple[str, ...] = ()

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> ChildConfig:
        """The inverse of ``asdict``. The worker is trusted: nothing is checked."""
        return cls(**{**value, "limits": ChildLimits(**value["limits"])})


def main(channel: int, fd_channel: int, *, parent_pid: int) -> NoReturn:
    """Runs a render process that was just forked, with its ends of the two sockets, to its end."""
    try:
        isolate({channel, fd_channel}, parent_pid)
        worker = _WorkerSocket(channel, fd_channel)
        config = ChildConfig.from_json(worker.receive()["config"])
        limit_resources(config.limits)
        _serve(worker, config)
    except _ConnectionClosed:
        os._exit(0)  # recycled, or the worker is gone
    except SystemExit:
        os._exit(1)
    except BaseException:
        log.error("render.process-failed", exception=traceback.format_exc()[-_MAX_TRACEBACK_CHARS:])
        os._exit(1)


class _StderrLog:
    """What the process logs when it cannot go on, in the form of the worker's lines, whose error output it shares."""

    def error(self, event: str, **fields: str) -> None:
        at = datetime.now(UTC).isoformat().replace("+00:00", "Z")
        line = json.dumps({"event": event, "level": "error", "timestamp": at, "pid": os.getpid(), **fields})
        with suppress(OSError):
            os.write(2, f"{line}\n".encode())


log = _StderrLog()


class _ConnectionClosed(BaseException):
    """The worker closed its end. No Exception, so that no task takes it for one of its own connections."""


class _WorkerSocket:
    """The child's ends of the two sockets, blocking."""

    def __init__(self, fd: int, fd_channel_fd: int) -> None:
        self._socket = socket.socket(fileno=fd)
        self._fd_socket = socket.socket(fileno=fd_channel_fd)
        self._sending = threading.Lock()  # a library may log in a thread of its own

    def send(self, message: dict[str, Any]) -> None:
        """Raises BadFrame when ``message`` cannot be sent, ``_HungUp`` when nobody is there."""
        frame = encode_frame(message)
        try:
            with self._sending:
                self._socket.sendall(frame)
        except ConnectionError as error:
            raise _ConnectionClosed from error

    def receive(self) -> dict[str, Any]:
        """The next message, however long it takes."""
        return decode_body(self._receive_exactly(body_length(self._receive_exactly(HEADER.size))))

    def receive_file(self) -> int:
        """The next descriptor that comes with the answer just received; the caller closes it."""
        _, fds, _, _ = socket.recv_fds(self._fd_socket, 1, 1)
        if not fds:
            raise _ConnectionClosed
        os.set_inheritable(fds[0], False)
        return fds[0]

    def _receive_exactly(self, count: int) -> bytes:
        received = bytearray()
        while len(received) < count:
            try:
                chunk = self._socket.recv(count - len(received))
            except ConnectionError as error:
                raise _ConnectionClosed from error
            if not chunk:
                raise _ConnectionClosed
            received += chunk
        return bytes(received)


class _LogForwarder(logging.Handler):
    """Sends what log_forwarder log to the worker, which knows whose job it is about. Without a job nothing is sent."""

    def __init__(self, channel: _WorkerSocket) -> None:
        super().__init__(logging.WARNING)
        self._channel = channel
        self._job = 0
        self._remaining = 0

    @contextmanager
    def for_job(self, job: int) -> Iterator[None]:
        """Within it, lines are sent as of ``job``; after it, none is, also of a thread that was left behind."""
        self._job, self._remaining = job, MAX_LOG_LINES
        try:
            yield
        finally:
            with self.lock or nullcontext():
                self._remaining = 0

    def emit(self, record: logging.LogRecord) -> None:
        if self._remaining == 0:
            return
        self._remaining -= 1
        try:
            text = self.format(record)[:_MAX_LOG_CHARS]
            self._channel.send({"job": self._job, "log": [record.levelname, record.name, text]})
        except Exception:
            self.handleError(record)


class TaskContext:
    """What a task has of its worker: called with a fraction, 0..1, and a word, it reports progress."""

    def __init__(self, channel: _WorkerSocket, job: int) -> None:
        self._channel = channel
        self._job = job

    def __call__(self, fraction: float, text: str) -> None:
        self._channel.send({"job": self._job, "progress": [fraction, text]})

    def request(self, **question: Any) -> tuple[dict[str, Any], tuple[int, ...]]:
        """The worker's answer to ``question``, and the open files that came with it, which the caller closes.

        Raises:
            PermanentJobError, TransientJobError: what the worker answers instead.
        """
        self._channel.send({"job": self._job, "ask": question})
        reply = self._channel.receive()
        if "error" in reply:
            raise decode_error(reply["error"])
        answer: dict[str, Any] = reply["answer"]
        return answer, tuple(self._channel.receive_file() for _ in range(answer["files"]))


def isolate(keep_fds: set[int], parent_pid: int) -> None:
    """Has this process die with its parent, and closes all files but ``keep_fds`` and the standard three.

    Of the fork server's files each child would hold a copy.
    """
    # A server that has ended leaves nobody who could reap this process.
    if not set_parent_death_signal(parent_pid, signal.SIGKILL):
        os._exit(0)
    # A signal from the terminal reaches the whole process group; the worker decides what it means.
    for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(ignored, signal.SIG_IGN)
    devnull = os.open(os.devnull, os.O_RDONLY)
    os.dup2(devnull, 0)
    os.dup2(2, 1)  # stdout belongs to the command's own output
    low = 3
    for fd in sorted(keep_fds):
        os.closerange(low, fd)
        low = fd + 1
    os.closerange(low, os.sysconf("SC_OPEN_MAX"))
    os.umask(0o022)  # bundles are for others to read


def limit_resources(limits: ChildLimits) -> None:
    """Limits memory, open files and file size of this process, and makes it the kernel's first choice to kill."""
    with suppress(OSError):  # not everywhere is /proc writable
        Path("/proc/self/oom_score_adj").write_text(str(_OOM_SCORE_ADJ), encoding="ascii")
    _lower_limit(resource.RLIMIT_CORE, 0)
    _lower_limit(resource.RLIMIT_NOFILE, _OPEN_FILES)
    _lower_limit(resource.RLIMIT_AS, limits.memory_bytes)
    if limits.file_bytes is not None:
        _lower_limit(resource.RLIMIT_FSIZE, limits.file_bytes)


def _lower_limit(limit: int, value: int) -> None:
    _, hard = resource.getrlimit(limit)
    limit_value = value if hard == resource.RLIM_INFINITY else min(value, hard)
    resource.setrlimit(limit, (limit_value, limit_value))


def _limit_cpu_time(seconds: int) -> None:
    """``seconds`` of processor time from now on; beyond them the kernel ends the process by SIGXCPU."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    limit_value = math.ceil(usage.ru_utime + usage.ru_stime) + seconds
    resource.setrlimit(
        resource.RLIMIT_CPU, (limit_value if hard == resource.RLIM_INFINITY else min(limit_value, hard), hard)
    )


def _serve(channel: _WorkerSocket, start: ChildConfig) -> NoReturn:
    try:
        task = _load(start.task)
        if start.confined:
            confine([*readable_paths(), *map(Path, start.readable)])
    except Exception as error:
        channel.send({"error": encode_error(error)})
        raise SystemExit(1) from None  # said by the worker
    channel.send({"ready": True})
    log_forwarder = _LogForwarder(channel)
    logging.getLogger().addHandler(log_forwarder)
    while True:
        request = channel.receive()
        if start.limits.cpu_s is not None:
            _limit_cpu_time(start.limits.cpu_s)
        _run(channel, log_forwarder, task, request, start.limits.memory_bytes)


def _load(name: str) -> Task:
    module, _, function = name.partition(":")
    task: Task = getattr(importlib.import_module(module), function)
    return task


def _run(
    channel: _WorkerSocket,
    log_forwarder: _LogForwarder,
    task: Task,
    request: dict[str, Any],
    memory_limit_bytes: int,
) -> None:
    job = request["job"]
    try:
        with log_forwarder.for_job(job):
            result = task(request["spec"], TaskContext(channel, job))
        channel.send({"job": job, "result": result})
    except _ConnectionClosed:
        raise
    except BaseException as error:  # SystemExit of a task too: the process is not the task's to end
        memory = {"found": _peak_address_space_bytes(), "allowed": memory_limit_bytes}
        described = encode_error(error, out_of_memory=memory if isinstance(error, MemoryError) else None)
        try:
            channel.send({"job": job, "error": described})
        except ProtocolError:
            channel.send({"job": job, "error": {**described, "data": {}}})


def _peak_address_space_bytes() -> int:
    """The most that was ever mapped: what was asked for and refused is known to nobody."""
    for line in Path("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines():
        if line.startswith("VmPeak:"):
            return int(line.split()[1]) * 1024
    return 0
