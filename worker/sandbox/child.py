"""Main loop of a render process: restricts itself, then runs one task after another until the worker closes.

The fork server imports this module, so it imports neither heavy modules nor the queue. The child imports the task's
module, which is fast because the fork server has preloaded its dependencies.

Protocol, over one stream socket, frames as in ``framing``::

    worker -> child    {"config": {...}}                      once: see ``ChildConfig``
    child  -> worker   {"ready": {...}} | {"error": {...}}    once: its ``ConfinementReport``, or the failed import
    worker -> child    {"job": n, "spec": {...}, "common": {...}}    fields of every spec come with the first job
    child  -> worker   {"job": n, "progress": [fraction, text]}      any number of times
    child  -> worker   {"job": n, "log": [level, logger, text]}      library log lines, at most MAX_LOG_LINES
    child  -> worker   {"job": n, "request": {...}}                  any number of times, each followed one reply:
    worker -> child    {"job": n, "reply": {...}} | {"job": n, "error": {...}}
    child  -> worker   {"job": n, "result": {...}} | {"job": n, "error": {...}}

A second socket carries file descriptors: as many as ``"files"`` of a reply. Through it a confined child reads its
assets and writes its output. What it prints goes into a pipe, which the worker reads.
"""

from __future__ import annotations

import importlib
import logging
import os
import resource
import signal
import socket
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from previewops.process.parent_death import set_parent_death_signal
from previewops.worker.sandbox.confinement import ConfinementReport, Surroundings, confine
from previewops.worker.sandbox.error_codec import decode_error, encode_error
from previewops.worker.sandbox.framing import HEADER, ProtocolError, body_length, decode_body, encode_frame

Task = Callable[[dict[str, Any], "TaskContext"], dict[str, Any]]

MAX_LOG_LINES = 20
"""Library log lines of one job. The child drops the rest, and so does the worker, which does not trust it."""

_MAX_LOG_CHARS = 2_000
_MAX_TRACEBACK_CHARS = 8_192
_RLIMIT_MSGQUEUE = 12  # asm-generic/resource.h; Python has no name for it
_OPEN_FILES = 256
_TASKS = 1_024  # threads of all render processes of one worker; a render has less than 10
_OOM_SCORE_ADJ = 500  # of 1000: the kernel's out-of-memory killer prefers a render process to the worker


@dataclass(frozen=True, slots=True)
class ChildLimits:
    """Limits of one render process; None means no limit.

    ``memory_bytes`` limits the address space and ``file_bytes`` the size of each written file, by the kernel.
    ``cpu_s`` limits the processor time of each job, all threads together; the worker watches it. ``nice`` is added to
    the worker's niceness, so that renders yield to everything else on a busy host.
    """

    memory_bytes: int
    cpu_s: float | None = None
    file_bytes: int | None = None
    nice: int = 0


@dataclass(frozen=True, slots=True)
class ChildConfig:
    """What a render process runs, and its limits.

    ``task`` is "module:function". A confined process can still read the files of ``readable``, absolute paths.
    """

    task: str
    limits: ChildLimits
    readable: tuple[str, ...] = ()

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> ChildConfig:
        """The inverse of ``asdict``. Checks nothing: the worker is trusted."""
        return cls(**{**value, "limits": ChildLimits(**value["limits"])})


def main(
    channel: int, fd_channel: int, output: int, *, parent_pid: int, surroundings: Surroundings | None
) -> NoReturn:
    """Runs a freshly forked render process until it exits.

    The descriptors are its ends of the two sockets, and the pipe for what it prints. It is confined unless
    ``surroundings`` is None.
    """
    try:
        isolate({channel, fd_channel}, output, parent_pid)
        worker = _WorkerSocket(channel, fd_channel)
        config = ChildConfig.from_json(worker.receive()["config"])
        limit_resources(config.limits)
        _serve(worker, config, parent_pid, surroundings)
    except _WorkerDisconnected:
        os._exit(0)  # replaced, or the worker has ended
    except SystemExit:
        os._exit(1)
    except BaseException:
        with suppress(OSError):
            os.write(2, traceback.format_exc()[-_MAX_TRACEBACK_CHARS:].encode())
        os._exit(1)


class _WorkerDisconnected(BaseException):
    """The worker closed its end. Not an Exception, so that no task handles it as an error of its own."""


class _WorkerSocket:
    def __init__(self, fd: int, fd_channel_fd: int) -> None:
        self._socket = socket.socket(fileno=fd)
        self._fd_socket = socket.socket(fileno=fd_channel_fd)
        self._sending = threading.Lock()  # a library may log in its own thread

    def send(self, message: dict[str, Any]) -> None:
        """Raises ProtocolError if ``message`` cannot be encoded, ``_WorkerDisconnected`` if the worker has closed."""
        frame = encode_frame(message)
        try:
            with self._sending:
                self._socket.sendall(frame)
        except ConnectionError as error:
            raise _WorkerDisconnected from error

    def receive(self) -> dict[str, Any]:
        """The next message; waits without a timeout."""
        return decode_body(self._receive_exactly(body_length(self._receive_exactly(HEADER.size))))

    def receive_files(self, count: int) -> tuple[int, ...]:
        """The descriptors of the answer just received, which come together; the caller closes them."""
        if count == 0:
            return ()
        _, fds, _, _ = socket.recv_fds(self._fd_socket, 1, count)
        if len(fds) != count:  # the kernel drops those beyond the limit of open files
            raise _WorkerDisconnected
        for fd in fds:
            os.set_inheritable(fd, False)
        return tuple(fds)

    def _receive_exactly(self, count: int) -> bytes:
        received = bytearray()
        while len(received) < count:
            try:
                chunk = self._socket.recv(count - len(received))
            except ConnectionError as error:
                raise _WorkerDisconnected from error
            if not chunk:
                raise _WorkerDisconnected
            received += chunk
        return bytes(received)


class _LogForwarder(logging.Handler):
    """Forwards library log lines to the worker, which adds the job's fields. Drops lines outside a job."""

    def __init__(self, channel: _WorkerSocket) -> None:
        super().__init__(logging.WARNING)
        self._channel = channel
        self._job = 0
        self._remaining = 0

    @contextmanager
    def for_job(self, job: int) -> Iterator[None]:
        """Forwards lines as lines of ``job`` inside the context, and none after it, not even of leftover threads."""
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
    """A task's connection to its worker. Calling it with a fraction, 0..1, and a phase's name reports progress."""

    def __init__(self, channel: _WorkerSocket, job: int) -> None:
        self._channel = channel
        self._job = job

    def __call__(self, fraction: float, text: str) -> None:
        self._channel.send({"job": self._job, "progress": [fraction, text]})

    def request(self, **arguments: Any) -> tuple[dict[str, Any], tuple[int, ...]]:
        """Returns the worker's reply to ``question`` and its descriptors, which the caller closes.

        Raises:
            PermanentJobError, TransientJobError: the worker's error.
        """
        self._channel.send({"job": self._job, "request": arguments})
        message = self._channel.receive()
        if "error" in message:
            raise decode_error(message["error"])
        body: dict[str, Any] = message["reply"]
        return body, self._channel.receive_files(body["files"])


def isolate(keep_fds: set[int], output: int, parent_pid: int) -> None:
    """Makes this process die with its parent, and closes all files except ``keep_fds``. It prints to ``output``.

    It would keep the fork server's files open otherwise.
    """
    # Without the server nobody reaps this process.
    if not set_parent_death_signal(parent_pid, signal.SIGKILL):
        os._exit(0)
    # A terminal's signal reaches the whole process group; the worker decides what it means.
    for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(ignored, signal.SIG_IGN)
    devnull = os.open(os.devnull, os.O_RDONLY)
    os.dup2(devnull, 0)
    os.dup2(output, 1)
    os.dup2(output, 2)
    low = 3
    for fd in sorted(keep_fds):
        os.closerange(low, fd)
        low = fd + 1
    os.closerange(low, os.sysconf("SC_OPEN_MAX"))
    os.umask(0o022)  # bundles are readable for other users


def limit_resources(limits: ChildLimits) -> None:
    """Limits memory, open files, file size and priority, for good.

    The out-of-memory killer takes this process before the worker.
    """
    with suppress(OSError):  # /proc may be read-only
        Path("/proc/self/oom_score_adj").write_text(str(_OOM_SCORE_ADJ), encoding="ascii")
    _lower_limit(resource.RLIMIT_CORE, 0)
    _lower_limit(_RLIMIT_MSGQUEUE, 0)
    _lower_limit(resource.RLIMIT_NOFILE, _OPEN_FILES)
    _lower_limit(resource.RLIMIT_AS, limits.memory_bytes)
    os.nice(limits.nice)
    if limits.file_bytes is not None:
        _lower_limit(resource.RLIMIT_FSIZE, limits.file_bytes)


def _lower_limit(limit: int, value: int) -> None:
    _, hard = resource.getrlimit(limit)
    limit_value = value if hard == resource.RLIM_INFINITY else min(value, hard)
    resource.setrlimit(limit, (limit_value, limit_value))


def _serve(
    channel: _WorkerSocket, start: ChildConfig, parent_pid: int, surroundings: Surroundings | None
) -> NoReturn:
    # Opened now: a confined process cannot.
    with Path("/proc/self/status").open("rb") as status:
        try:
            module, _, function = start.task.partition(":")
            task: Task = getattr(importlib.import_module(module), function)
            confinement = _confine(start, parent_pid, surroundings)
        except Exception as error:
            channel.send({"error": encode_error(error)})
            raise SystemExit(1) from None  # the worker logs the error
        channel.send({"ready": confinement.as_json()})
        log_forwarder = _LogForwarder(channel)
        logging.getLogger().addHandler(log_forwarder)
        common: dict[str, Any] = {}
        while True:
            request = channel.receive()
            common = request.get("common", common)
            request["spec"] = common | request["spec"]
            _run(channel, log_forwarder, task, request, _Memory(status.fileno(), start.limits.memory_bytes))


def _confine(start: ChildConfig, parent_pid: int, surroundings: Surroundings | None) -> ConfinementReport:
    if surroundings is None:
        return ConfinementReport()
    if surroundings.counted_alone:
        _lower_limit(resource.RLIMIT_NPROC, _TASKS)
    return confine(surroundings, map(Path, start.readable), parent_pid)


@dataclass(frozen=True, slots=True)
class _Memory:
    """The address space of this process, by the open file /proc/self/status, and its limit in bytes."""

    status_fd: int
    allowed_bytes: int

    def peak_bytes(self) -> int:
        """The peak of mapped memory. The size of a rejected allocation is unknown."""
        for line in os.pread(self.status_fd, 8_192, 0).splitlines():
            if line.startswith(b"VmPeak:"):
                return int(line.split()[1]) * 1024
        return 0


def _run(
    channel: _WorkerSocket,
    log_forwarder: _LogForwarder,
    task: Task,
    request: dict[str, Any],
    memory: _Memory,
) -> None:
    job = request["job"]
    try:
        with log_forwarder.for_job(job):
            result = task(request["spec"], TaskContext(channel, job))
        channel.send({"job": job, "result": result})
    except _WorkerDisconnected:
        raise
    except BaseException as error:  # including SystemExit: a task must not end the process
        bounds = {"found": memory.peak_bytes(), "allowed": memory.allowed_bytes}
        described = encode_error(error, out_of_memory=bounds if isinstance(error, MemoryError) else None)
        try:
            channel.send({"job": job, "error": described})
        except ProtocolError:
            channel.send({"job": job, "error": {**described, "data": {}}})
