"""Program of the fork server: imports what renders need, then forks a render process for each request.

It is single-threaded and has no asyncio, so that it can fork. One SOCK_SEQPACKET socket pair, one message each::

    worker -> server   FORK and two descriptors: the new process's ends of its two sockets
    server -> worker   STARTED, pid and a pidfd | FAILED and an errno      one for each request, in order
    server -> worker   EXITED, pid and exit code: negative is minus the signal
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
REPORT = struct.Struct("!Bii")
STARTED, FAILED, EXITED = range(3)


def main(control_fd: int, worker_pid: int, preload: Sequence[str]) -> NoReturn:
    """Serves fork requests until the worker closes its end of the socket or dies."""
    # Signals to the process group reach this process too. Its death would kill every render during a drain: the
    # worker decides when work ends.
    for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(ignored, signal.SIG_IGN)
    # A stopped server cannot see the end of its socket; SIGKILL ends it anyway.
    if not set_parent_death_signal(worker_pid, signal.SIGKILL):
        os._exit(0)
    for module in preload:
        with suppress(Exception):  # the render process imports it again, and reports the error
            import_module(module)
    with suppress(BrokenPipeError):  # the worker has died
        _serve(socket.socket(fileno=control_fd))
    os._exit(0)


def _serve(control: socket.socket) -> None:
    pids: dict[int, int] = {}  # by pidfd
    poll = select.poll()
    poll.register(control, select.POLLIN)
    while True:
        for fd, _ in poll.poll():
            if fd != control.fileno():
                poll.unregister(fd)
                pid = pids.pop(fd)
                os.close(fd)
                _, status = os.waitpid(pid, 0)
                control.send(REPORT.pack(EXITED, pid, os.waitstatus_to_exitcode(status)))
                continue
            request, sockets, _, _ = socket.recv_fds(control, len(FORK), 2)
            if not request:
                return
            try:
                pid, pidfd = _fork(control, sockets)
            except OSError as error:
                control.send(REPORT.pack(FAILED, 0, error.errno or 0))
                continue
            pids[pidfd] = pid
            poll.register(pidfd, select.POLLIN)
            socket.send_fds(control, [REPORT.pack(STARTED, pid, 0)], [pidfd])


def _fork(control: socket.socket, sockets: Sequence[int]) -> tuple[int, int]:
    """Forks a render process with ``sockets``, which are closed here. Returns its pid and a pidfd. Raises OSError."""
    server_pid = os.getpid()
    try:
        if len(sockets) != 2:  # the kernel drops descriptors beyond the limit
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        pid = os.fork()
        if pid == 0:
            control.close()  # or the worker would not see the server's end
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
