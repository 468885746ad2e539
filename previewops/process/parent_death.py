"""Ties a process to its parent, so that it does not outlive the parent, even one that is killed by SIGKILL.

The kernel is asked for a signal on the death of the parent (``PR_SET_PDEATHSIG``, prctl(2)). SIGKILL ends
whatever there is, a stopped process and one that hangs included. Any other signal lets a program end in
order, and waits for as long as the process is stopped; ``thaw_when_closed`` is for that.

A program is started through this file, which ties itself and then becomes the program by exec, so no process
is added. A ``preexec_fn`` would do the same, but runs Python between fork and exec, which can deadlock when
the parent has threads. Elsewhere than on Linux nothing is tied.
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
_CANNOT_RUN = 126  # as a shell's status for a command found and not executable


def die_with_parent_argv(argv: Sequence[str], signum: signal.Signals) -> list[str]:
    """The command that runs ``argv`` (program's path first) so that ``signum`` reaches it when we die.

    The kernel watches the thread that starts the command, so that thread has to live as long as the program.
    """
    # -I and -S: neither the environment nor site-packages can slow the start down or change what is imported.
    script = str(Path(__file__).resolve())
    return [sys.executable, "-I", "-S", script, str(os.getpid()), str(int(signum)), *argv]


def set_parent_death_signal(parent: int, signum: int) -> bool:
    """Has the kernel send ``signum`` to this process when its parent dies, whose process id is ``parent``.

    A fork does not inherit the tie; an exec does. False: the parent had died before the kernel was asked.

    Raises:
        OSError: the kernel refuses.
    """
    if sys.platform == "linux":
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.prctl(_PR_SET_PDEATHSIG, int(signum), 0, 0, 0) != 0:
            raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG)")
    return os.getppid() == parent


def continue_on_pipe_close(reader: int, pid: int) -> None:
    """Has the kernel send SIGCONT to process ``pid`` when the last writer of the pipe ``reader`` is gone.

    The one who writes is this process, and dies; ``pid`` is a child that has inherited ``reader``, as the kernel
    forgets this with the last descriptor of it. By fcntl(2), F_SETSIG and O_ASYNC.
    """
    if sys.platform == "linux":
        fcntl.fcntl(reader, fcntl.F_SETOWN, pid)
        fcntl.fcntl(reader, fcntl.F_SETSIG, signal.SIGCONT)
        fcntl.fcntl(reader, fcntl.F_SETFL, fcntl.fcntl(reader, fcntl.F_GETFL) | fcntl.FASYNC)


def _become(parent: int, signum: int, argv: list[str]) -> int:
    try:
        if set_parent_death_signal(parent, signum):
            os.execv(argv[0], argv)  # noqa: S606 - no shell is wanted
    except OSError as error:
        sys.stderr.write(f"{argv[0]}: {error.strerror}\n")
    return _CANNOT_RUN


if __name__ == "__main__":
    sys.exit(_become(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:]))
