"""Kills every process that a pytest process has started once that pytest process has ended, SIGKILL included.

Each pytest process, each xdist worker among them, puts its own id into the environment variable TEST_RUN_IDS
and starts one guard. Programs inherit the variable. When its pytest process ends, the guard kills every process
whose environment has the id, and the descendants of those: daemons and process groups do not escape.

A test that starts a program with another environment adds ``guarded_environ()``; without it, Popen raises an
AssertionError. Some programs overwrite their environment (Redis, for its title in ``ps``) or hide it (fork servers):
they die with their parent by ``previewops.process.parent_death``. On systems other than Linux no process is guarded.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from functools import wraps
from pathlib import Path
from typing import Any

VARIABLE = "TEST_RUN_IDS"
KILL_TIMEOUT_S = 10.0


def start_guard() -> None:
    """Starts the guard of this process, and returns once it watches."""
    if sys.platform != "linux":
        return
    run_id = f"{os.getpid()}-{os.urandom(8).hex()}"
    os.environ[VARIABLE] = f"{os.environ.get(VARIABLE, '')} {run_id}".lstrip()
    argv = [sys.executable, "-I", "-S", str(Path(__file__).resolve()), str(os.getpid()), run_id]
    # Its output must not keep the pipe of the tests' output open.
    null = [(os.POSIX_SPAWN_OPEN, fd, os.devnull, os.O_RDWR, 0) for fd in range(3)]
    starter = os.posix_spawn(sys.executable, argv, os.environ, file_actions=null, setsid=True)
    _, status = os.waitpid(starter, 0)
    assert status == 0, f"the guard of the tests' processes ended with status {status}"
    _require_ids()


def guarded_environ() -> dict[str, str]:
    """The part of the environment by which a program is found, for one with no other variables of ours."""
    return {VARIABLE: os.environ[VARIABLE]} if VARIABLE in os.environ else {}


def marked_processes(run_id: str) -> set[int]:
    """The ids of the processes, zombies excluded, with ``run_id`` in their environment, and of their descendants."""
    parents = dict(_parents())
    pids = {pid for pid in parents if run_id.encode() in _environ(pid)}
    while more := {pid for pid, parent in parents.items() if parent in pids and pid not in pids}:
        pids |= more
    return pids


def _require_ids() -> None:
    """Lets Popen check the environment of each program. An audit hook would cost time at every other event."""
    start = subprocess.Popen.__init__

    @wraps(start)
    def checked(process: subprocess.Popen[Any], args: Any, *others: Any, **options: Any) -> None:
        env = options.get("env")
        assert env is None or VARIABLE in env or VARIABLE.encode() in env, (
            f"{args} is started with an environment without {VARIABLE}: add tests.process_guard.guarded_environ()"
        )
        start(process, args, *others, **options)

    subprocess.Popen.__init__ = checked  # type: ignore[method-assign]


def _parents() -> Iterator[tuple[int, int]]:
    """Each process's id and its parent's."""
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal():
            with suppress(OSError):
                # The command's name, in brackets, may hold anything.
                state, parent = (folder / "stat").read_bytes().rpartition(b")")[2].split()[:2]
                if state not in (b"Z", b"X"):
                    yield int(folder.name), int(parent)


def _environ(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return b""  # it has ended, or is another user's


def _guard(pid: int, run_id: str) -> None:
    pidfd = os.pidfd_open(pid)
    if os.fork():
        os._exit(0)  # it watches: tests begin, and it is not their child
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    select.select([pidfd], [], [])
    deadline = time.monotonic() + KILL_TIMEOUT_S
    quiet = 0
    # Two scans in a row: a process that starts during a scan may be missing from it.
    while quiet < 2 and time.monotonic() < deadline:
        processes = marked_processes(run_id) - {os.getpid()}
        quiet = 0 if processes else quiet + 1
        for process in processes:
            with suppress(OSError):
                os.kill(process, signal.SIGKILL)
        time.sleep(0.02)


if __name__ == "__main__":
    _guard(int(sys.argv[1]), sys.argv[2])
