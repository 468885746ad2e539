"""Ends a process when its parent dies, even if the parent is killed by SIGKILL.

The kernel sends a signal on the parent's death (``PR_SET_PDEATHSIG``, prctl(2)). SIGKILL also ends stopped and
hanging processes. Any other signal allows an orderly exit, but a stopped process does not receive it;
``continue_on_pipe_close`` wakes such a process.

A program is started through this file, which sets the signal and then execs the program, so no process is added. A
``preexec_fn`` would run Python between fork and exec, which can deadlock when the parent has threads. On systems
other than Linux nothing is set.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_CANNOT_RUN = 126  # a shell's status for a command that cannot be executed


def die_with_parent_argv(argv: Sequence[str], signum: signal.Signals) -> list[str]:
    """Returns the command that runs ``argv`` (program path first) and delivers ``signum`` when this process dies.

    The kernel watches the thread that starts the command, so that thread must live as long as the program.
    """
    # -I and -S: environment and site-packages can neither slow the start nor change the imports.
    script = str(Path(__file__).resolve())
    return [sys.executable, "-I", "-S", script, str(os.getpid()), str(int(signum)), *argv]


def set_parent_death_signal(parent: int, signum: int) -> bool:
    """Makes the kernel send ``signum`` to this process when its parent, process ``parent``, dies.

    The setting survives exec but not fork. Returns False if the parent died before the call.

    Raises:
        OSError: the kernel rejects the call.
    """
    if sys.platform == "linux":
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.prctl(_PR_SET_PDEATHSIG, int(signum), 0, 0, 0) != 0:
            raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG)")
    return os.getppid() == parent


def continue_on_pipe_close(reader: int, pid: int) -> None:
    """Makes the kernel send SIGCONT to process ``pid`` when the last writer of the pipe ``reader`` closes.

    This process is the writer, and closes it by dying. ``pid`` is a child that inherited ``reader``: the kernel drops
    the setting with the last descriptor. Uses fcntl(2), F_SETSIG and O_ASYNC.
    """
    if sys.platform == "linux":
        fcntl.fcntl(reader, fcntl.F_SETOWN, pid)
        fcntl.fcntl(reader, fcntl.F_SETSIG, signal.SIGCONT)
        fcntl.fcntl(reader, fcntl.F_SETFL, fcntl.fcntl(reader, fcntl.F_GETFL) | fcntl.FASYNC)


def _exec_with_signal(parent: int, signum: int, argv: list[str]) -> int:
    try:
        if set_parent_death_signal(parent, signum):
            os.execv(argv[0], argv)  # noqa: S606 - no shell is wanted
    except OSError as error:
        sys.stderr.write(f"{argv[0]}: {error.strerror}\n")
    return _CANNOT_RUN


if __name__ == "__main__":
    sys.exit(_exec_with_signal(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:]))
