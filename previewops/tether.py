"""Runs a program that must not outlive the process that starts it, even if that one is killed by SIGKILL.

The program is started through this file, which asks the kernel for a SIGTERM on the death of the parent
(``PR_SET_PDEATHSIG``, prctl(2)) and then becomes the program by exec, so no process is added. A
``preexec_fn`` would do the same, but runs Python between fork and exec, which can deadlock when the parent
has threads.
Elsewhere than on Linux the program starts untethered.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

_PR_SET_PDEATHSIG = 1
_CANNOT_RUN = 126  # as a shell's status for a command found and not executable


def tethered(argv: Sequence[str]) -> list[str]:
    """The command that runs ``argv`` (program's path first) tethered to the calling process.

    The kernel watches the thread that starts the command, so that thread has to live as long as the program.
    """
    # -I and -S: neither the environment nor site-packages can slow the start down or change what is imported.
    return [sys.executable, "-I", "-S", str(Path(__file__).resolve()), str(os.getpid()), *argv]


def _become(parent: int, argv: list[str]) -> int:
    if sys.platform == "linux":
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0) != 0:
            sys.stderr.write(f"prctl(PR_SET_PDEATHSIG): {os.strerror(ctypes.get_errno())}\n")
            return _CANNOT_RUN
        if os.getppid() != parent:  # it died before the kernel was asked
            return _CANNOT_RUN
    try:
        os.execv(argv[0], argv)  # noqa: S606 - no shell is wanted
    except OSError as error:
        sys.stderr.write(f"{argv[0]}: {error.strerror}\n")
    return _CANNOT_RUN


if __name__ == "__main__":
    sys.exit(_become(int(sys.argv[1]), sys.argv[2:]))
