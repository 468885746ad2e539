"""Program of the fork server: imports what renders need, then forks a render process for each request.

It is single-threaded and has no asyncio, so that it can fork. Its stdin is a SOCK_SEQPACKET socket; each request
brings another one, ``status``, for the reports about its process::

    worker -> server   FORK and three descriptors: status, and the new process's ends of its two sockets
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

FORK = b"f"
REPORT = struct.Struct("!ii")


def main(worker_pid: int, *preload: str) -> NoReturn:
    """Serves fork requests until the worker closes its end of the socket or dies."""
    # Signals to the process group reach this process too. Its death would kill every render during a drain: the
    # worker decides when work ends.
    for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(ignored, signal.SIG_IGN)
    # A stopped server cannot see the end of its socket; SIGKILL ends it anyway.
    if set_parent_death_signal(worker_pid, signal.SIGKILL):
        for module in preload:
            with suppress(Exception):  # the render process imports it again, and reports the error
                import_module(module)
        _serve(socket.socket(fileno=0))
    os._exit(0)


def _serve(control: socket.socket) -> None:
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
            request, fds, _, _ = socket.recv_fds(control, len(FORK), 3)
            if not request:
                return
            if not fds:  # the kernel drops descriptors beyond the limit
                continue
            status = socket.socket(fileno=fds[0])
            try:
                pid, pidfd = _fork(fds[1:])
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


def _fork(sockets: Sequence[int]) -> tuple[int, int]:
    """Forks a render process with ``sockets``, which are closed here. Returns its pid and a pidfd. Raises OSError."""
    server_pid = os.getpid()
    try:
        if len(sockets) != 2:
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        pid = os.fork()
        if pid == 0:
            child.main(*sockets, parent_pid=server_pid)
        try:
            return pid, os.pidfd_open(pid)
        except OSError:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            raise
    finally:
        for fd in sockets:
            os.close(fd)
