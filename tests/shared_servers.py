"""Servers that all pytest processes of a run share: the first process that needs one starts it, for all others.

A host process runs the server, and ends when no pytest process uses it any more. Each user has a lock on one file,
which the kernel releases when the process ends, however it ends; the host waits until the file has no lock.
"""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from importlib import import_module
from pathlib import Path

from tests.process_guard import VARIABLE

RunServer = Callable[..., AbstractContextManager[str]]
"""Runs a server with its files below a folder, and returns its address. Raises ServerMissing."""
MISSING = "missing: "


class ServerMissing(Exception):
    """The server cannot be run here, for the reason in the message."""


@contextmanager
def shared_server(run: RunServer, folder: Path, *arguments: str) -> Iterator[str]:
    """Returns the address of the server that ``run``, a function of a module, runs for all users of ``folder``.

    Raises:
        ServerMissing: it cannot be run here.
    """
    folder.mkdir(exist_ok=True)
    with (folder / "users").open("w") as users:
        with (folder / "start").open("w") as start:
            fcntl.flock(start, fcntl.LOCK_EX)
            # A host that is ending has the lock until it has ended.
            fcntl.flock(users, fcntl.LOCK_SH)
            reply = folder / "reply"
            if not reply.exists():
                _start_host(run, folder, arguments)
        text = reply.read_text()
        if text.startswith(MISSING):
            raise ServerMissing(text.removeprefix(MISSING))
        yield text


def _start_host(run: RunServer, folder: Path, arguments: tuple[str, ...]) -> None:
    """Starts the host of a server, and returns when it has replied."""
    argv = [
        sys.executable,
        "-m",
        "tests.shared_servers",
        run.__module__,
        run.__name__,
        str(folder),
        *arguments,
    ]
    environ = {**os.environ, VARIABLE: _ids_of_run()}
    with (folder / "host.log").open("wb") as log:
        # The host closes its output when it has replied.
        subprocess.run(
            argv, env=environ, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log, check=False
        )
    assert (folder / "reply").exists(), (folder / "host.log").read_text(errors="replace")[-3000:]


def _ids_of_run() -> str:
    """The ids of guards for a process that may outlive this one, which may be one xdist process of several."""
    ids = os.environ[VARIABLE].split()
    return " ".join(ids[:-1] if "PYTEST_XDIST_WORKER" in os.environ else ids)


def run_host(module: str, function: str, folder: Path, arguments: list[str]) -> None:
    """Runs a server until it has no users."""
    if os.fork():
        os._exit(0)  # no pytest process is the host's parent: any of them may end first
    os.setsid()
    reply = folder / "reply"
    with (folder / "users").open() as users:
        try:
            with getattr(import_module(module), function)(folder, *arguments) as address:
                _reply(reply, address)
                fcntl.flock(users, fcntl.LOCK_EX)
                reply.unlink()
        except ServerMissing as missing:
            _reply(reply, f"{MISSING}{missing}")


def _reply(file: Path, text: str) -> None:
    partial = file.with_suffix(".partial")
    partial.write_text(text)
    partial.rename(file)
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    # A server raises the ServerMissing of the imported module, which is not that of this one.
    import_module("tests.shared_servers").run_host(sys.argv[1], sys.argv[2], Path(sys.argv[3]), sys.argv[4:])
