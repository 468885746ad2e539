"""Duties of process 1, for containers without an init: forwards signals and reaps processes that lost their parent.

The program itself runs in a child. So process 1 may reap whatever it is given, and takes no exit status from the
program's own children.
"""

from __future__ import annotations

import os
import signal
from contextlib import suppress

_NOT_FORWARDED = {signal.SIGKILL, signal.SIGSTOP, signal.SIGCHLD}
_SI_KERNEL = 0x80  # asm-generic/siginfo.h: sent by the kernel, such as Ctrl-C of a terminal


def run_as_init() -> None:
    """Returns in the process that is to run the program: this one, or a child if this is process 1.

    Process 1 exits with the child's status, or 128 and the number of the signal that ended it.
    """
    if os.getpid() != 1:
        return
    waited = signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, waited)
    program = os.fork()
    if program == 0:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        return
    os._exit(_serve(program, waited))


def _serve(program: int, waited: set[signal.Signals]) -> int:
    """Forwards and reaps until the program has exited. Returns the exit status."""
    while True:
        received = signal.sigwaitinfo(waited)
        if received.si_signo == signal.SIGCHLD:
            status = _reap(program)
            if status is not None:
                return status
        # A terminal sends its signals to the program too.
        elif received.si_code != _SI_KERNEL and received.si_signo not in _NOT_FORWARDED:
            with suppress(ProcessLookupError):
                os.kill(program, received.si_signo)


def _reap(program: int) -> int | None:
    """Reaps all processes that have exited. Returns the program's exit status if it is one of them."""
    result = None
    with suppress(ChildProcessError):
        while True:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                break
            if pid == program:
                code = os.waitstatus_to_exitcode(status)
                result = code if code >= 0 else 128 - code
    return result
