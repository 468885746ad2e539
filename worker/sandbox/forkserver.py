"""Processes from the standard library's fork server, started and awaited by events alone.

``multiprocessing.Process`` would wait in a blocking read for each new pid, import the worker's main module
again in each child, poll every child at each start, and join them all when the interpreter ends. So this
asks the same fork server by the call beneath it, ``connect_to_new_process``: it hands out a pipe on which
the pid and, when the time comes, the exit code arrive. Everything pickled goes from the worker to the
child.

Nothing of the worker's leaks into a child: the fork server is a fresh interpreter that was given no
descriptor but its own, so the children that it forks never see a Redis connection; and of the environment no
more than an interpreter goes by, so that none sees the address of Redis either.
"""

from __future__ import annotations

import asyncio
import os
import pickle
import signal
import socket
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from multiprocessing import forkserver, get_context, resource_tracker
from pathlib import Path
from typing import Any

from previewops.worker.sandbox.child import ChildConfig

_OWN_PRELOAD = ("previewops.worker.sandbox.forkserver_preload", "previewops.worker.sandbox.child")
_KEPT = ("PATH", "HOME", "TMPDIR", "TZ", "LANG", "LC_", "LD_", "PYTHON", "GLIBC_", "MALLOC_", "PILLOW_")
"""How the names of variables begin that go on to the fork server: where programs are, and how libraries behave."""
_NUMBER_BYTES = forkserver.SIGNED_STRUCT.size


class ForkedProcess:
    """One process of the fork server's. Made by ``fork``.

    ``started`` becomes True once ``pid`` is known, False if the fork server died before that. ``exited``
    becomes the exit code when the process has gone: as in ``subprocess``, negative is minus the signal;
    None when the fork server died and nobody can tell.
    """

    def __init__(self, status_fd: int) -> None:
        self._loop = asyncio.get_running_loop()
        self._status_fd = status_fd
        self._pidfd: int | None = None
        self._received = b""
        self.pid = 0
        self._doomed = False
        self.started: asyncio.Future[bool] = self._loop.create_future()
        self.exited: asyncio.Future[int | None] = self._loop.create_future()
        os.set_blocking(status_fd, False)
        self._loop.add_reader(status_fd, self._on_status)

    def kill(self) -> None:
        """Sends SIGKILL, or does so as soon as the pid is known.

        Through a pidfd, as a number could have become another process's.
        """
        self._doomed = True
        if self._pidfd is not None and not self.exited.done():
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)

    def _on_status(self) -> None:
        try:
            piece = os.read(self._status_fd, 2 * _NUMBER_BYTES - len(self._received))
        except BlockingIOError:
            return
        self._received += piece
        if self.pid == 0 and len(self._received) >= _NUMBER_BYTES:
            self._on_started(_number(self._received[:_NUMBER_BYTES]))
        if len(self._received) == 2 * _NUMBER_BYTES:
            self._stop_listening()
            self._on_gone(_number(self._received[_NUMBER_BYTES:]))
        elif not piece:
            self._stop_listening()
            self._on_server_gone()

    def _on_started(self, pid: int) -> None:
        self.pid = pid
        with suppress(ProcessLookupError):  # gone already; its exit code is under way
            self._pidfd = os.pidfd_open(pid)
        if not self.started.done():
            self.started.set_result(True)
        if self._doomed:
            self.kill()

    def _on_server_gone(self) -> None:
        if not self.started.done():
            self.started.set_result(False)
        if self._pidfd is None:
            self._on_gone(None)
            return
        # The kernel kills it along with its parent; this makes sure, and waits for it.
        self.kill()
        self._loop.add_reader(self._pidfd, self._on_orphan_gone)

    def _on_orphan_gone(self) -> None:
        assert self._pidfd is not None
        self._loop.remove_reader(self._pidfd)
        self._on_gone(None)

    def _on_gone(self, code: int | None) -> None:
        if self._pidfd is not None:
            os.close(self._pidfd)
            self._pidfd = None
        if not self.exited.done():
            self.exited.set_result(code)

    def _stop_listening(self) -> None:
        self._loop.remove_reader(self._status_fd)
        os.close(self._status_fd)


class _Users:
    """How many pools use the one fork server of this process."""

    count = 0


def acquire(preload: Sequence[str]) -> None:
    """Counts one user more, and names what the fork server imports when it is next started."""
    get_context("forkserver").set_forkserver_preload([*_OWN_PRELOAD, *preload])
    _Users.count += 1


def release() -> None:
    """Counts one user less; the last one ends the fork server. Its processes are gone by then."""
    _Users.count -= 1
    if _Users.count == 0:
        _stop()


def fork(start: ChildConfig, *sockets: socket.socket) -> ForkedProcess:
    """Asks for a process that runs ``start`` with ``sockets``; starts the fork server if there is none.

    Await ``started`` of what it returns before anything else.

    Raises:
        OSError: the fork server cannot be reached or started; a ConnectionError where another attempt may do.
    """
    if not _server_lives():
        with _bare_environment():
            forkserver.ensure_running()
    asked = server_pid()
    status_fd, data_fd = forkserver.connect_to_new_process([each.fileno() for each in sockets])
    if server_pid() != asked:
        # It died just now, and the library has started another, which has our whole environment.
        os.close(status_fd)
        os.close(data_fd)
        _stop()
        raise ConnectionResetError("the fork server died")
    process = ForkedProcess(status_fd)
    with suppress(BrokenPipeError), open(data_fd, "wb") as data:  # noqa: PTH123 - a descriptor, not a path
        data.write(pickle.dumps(_preparation()) + pickle.dumps(start))
    return process


def _server_lives() -> bool:
    pid = server_pid()
    if pid is None:
        return False
    try:
        # Without reaping it, which is the library's to do.
        return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None
    except ChildProcessError:
        return False


@contextmanager
def _bare_environment() -> Iterator[None]:
    """Hides from a fork server that is started within it what renders have no use for, passwords among it.

    Taking them from its processes later is too late: the kernel keeps what a program was started with. This is for
    the start of a server alone, as C libraries in other threads may read the environment meanwhile.
    """
    hidden = {name: value for name, value in os.environ.items() if not name.startswith(_KEPT)}
    for name in hidden:
        del os.environ[name]
    try:
        yield
    finally:
        os.environ.update(hidden)


def server_pid() -> int | None:
    """The fork server's process id, or None while there is none."""
    server: Any = forkserver._forkserver
    pid: int | None = server._forkserver_pid
    return pid


async def server_end(timeout_s: float) -> None:
    """Waits until a fork server that no longer answers can be reaped, ``timeout_s`` at most.

    A dying process closes its files before it can be waited for. In between the standard library takes the
    server for alive, and would start no other.
    """
    server: Any = forkserver._forkserver
    try:
        pidfd = os.pidfd_open(server._forkserver_pid)
    except (TypeError, ProcessLookupError):  # there is none, or somebody has reaped it
        return
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    loop.add_reader(pidfd, ended.set)
    try:
        async with asyncio.timeout(timeout_s):
            await ended.wait()
    except TimeoutError:
        return  # it lives after all
    finally:
        loop.remove_reader(pidfd)
        os.close(pidfd)


def _stop() -> None:
    """Ends the fork server and the resource tracker that came with it, and closes their pipes.

    The standard library has this for its own tests and under these names; without it both stay until the
    worker ends.
    """
    helpers: tuple[Any, ...] = (forkserver._forkserver, resource_tracker._resource_tracker)
    for helper in helpers:
        with suppress(ChildProcessError):  # ended, and reaped, by somebody else
            helper._stop()


def _preparation() -> dict[str, Any]:
    """What ``multiprocessing.spawn.prepare`` is to do in the child: same import path, and no main module."""
    return {"name": "previewops-render", "sys_path": [entry or str(Path.cwd()) for entry in sys.path]}


def _number(packed: bytes) -> int:
    number: int = forkserver.SIGNED_STRUCT.unpack(packed)[0]
    return number
