"""Program of the fork server: imports what renders need, then forks a render process for each request.

It is single-threaded and has no asyncio, so that it can fork. Its stdin is a SOCK_SEQPACKET socket; each request
brings another one, ``status``, for the reports about its process::

    server -> worker   HELLO and a pidfd of itself             once
    worker -> server   FORK and four descriptors: status, the new process's ends of its two sockets, and its output
    server -> status   pid, 0 and a pidfd | 0 and an errno     once: started or failed
    server -> status   pid and exit code                       negative is minus the signal
"""

from __future__ import annotations

import errno
import os
import select
import signal
import socket
import struct
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module
from typing import NoReturn

from previewops.process.parent_death import set_parent_death_signal
from previewops.worker.sandbox import child
from previewops.worker.sandbox.confinement import Surroundings, prepare_surroundings

HELLO, FORK = b"h", b"f"
REPORT = struct.Struct("!ii")


_OUTSIDE = 0  # the parent's process id, as a process sees it whose parent is in another PID namespace
_DESCRIPTORS = 4


def main(worker_pid: int, confined: bool, *preload: str) -> NoReturn:
    """Serves fork requests until the worker closes its end of the socket or dies.

    The server of ``confined`` processes is the first of a PID namespace, if it may have one: the kernel kills
    all processes in it when the server ends.
    """
    # Signals to the process group reach this process too. Its death would kill every render during a drain: the
    # worker decides when work ends.
    for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(ignored, signal.SIG_IGN)
    # A stopped server cannot see the end of its socket; SIGKILL ends it anyway.
    if set_parent_death_signal(worker_pid, signal.SIGKILL):
        surroundings = prepare_surroundings(worker_pid) if confined else None
        if surroundings is not None and not surroundings.namespaces_missing:
            _continue_as_first_process()
        for module in preload:
            with suppress(Exception):  # the render process imports it again, and reports the error
                import_module(module)
        _serve(socket.socket(fileno=0), surroundings)
    os._exit(0)


def _continue_as_first_process() -> None:
    """Returns in a child, the first process of a new PID namespace. This process waits for its end, and exits."""
    waiting = os.pidfd_open(os.getpid())
    pid = os.fork()
    if pid:
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)  # the worker sees the end of the child's socket
        os.waitpid(pid, 0)
        os._exit(0)
    set_parent_death_signal(_OUTSIDE, signal.SIGKILL)
    has_ended = select.poll()
    has_ended.register(waiting, select.POLLIN)
    if has_ended.poll(0):
        os._exit(0)
    os.close(waiting)


def _serve(control: socket.socket, surroundings: Surroundings | None) -> None:
    own_pidfd = os.pidfd_open(os.getpid())
    with suppress(ConnectionError):
        socket.send_fds(control, [HELLO], [own_pidfd])
    os.close(own_pidfd)
    running: dict[int, tuple[int, socket.socket]] = {}  # pid and status by pidfd
    poll = select.poll()
    poll.register(control, select.POLLIN)
    while True:
        for fd, _ in poll.poll():
            if fd in running:
                poll.unregister(fd)
                os.close(fd)
                pid, status = running.pop(fd)
                _, wait_status = os.waitpid(pid, 0)
                _report(status, pid, os.waitstatus_to_exitcode(wait_status))
                status.close()
                continue
            request, fds, _, _ = socket.recv_fds(control, len(FORK), _DESCRIPTORS)
            if not request:
                return
            if not fds:  # the kernel drops descriptors beyond the limit
                continue
            status = socket.socket(fileno=fds[0])
            try:
                pid, pidfd = _fork(fds[1:], surroundings)
            except OSError as error:
                _report(status, 0, error.errno or 0)
                status.close()
                continue
            running[pidfd] = pid, status
            poll.register(pidfd, select.POLLIN)
            _report(status, pid, 0, pidfd)


def _report(status: socket.socket, pid: int, code: int, *pidfds: int) -> None:
    with suppress(ConnectionError):  # the worker has died, or could not receive the pidfd
        socket.send_fds(status, [REPORT.pack(pid, code)], pidfds)


def _fork(ends: Sequence[int], surroundings: Surroundings | None) -> tuple[int, int]:
    """Forks a render process with ``ends``, which are closed here. Returns its pid and a pidfd. Raises OSError."""
    server_pid = os.getpid()
    try:
        if len(ends) != _DESCRIPTORS - 1:
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        pid = os.fork()
        if pid == 0:
            child.main(*ends, parent_pid=server_pid, surroundings=surroundings)
        try:
            return pid, os.pidfd_open(pid)
        except OSError:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            raise
    finally:
        for fd in ends:
            os.close(fd)
