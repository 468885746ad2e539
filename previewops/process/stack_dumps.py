"""Stack dumps of a hanging or crashing process, on its standard error."""

from __future__ import annotations

import faulthandler
from contextlib import suppress


def enable_stack_dumps() -> None:
    """Makes SIGABRT, which a supervisor or systemd sends to a hanging process, write the stacks of all threads.

    Does nothing without a standard error.
    """
    with suppress(RuntimeError, OSError, ValueError):
        faulthandler.enable()
