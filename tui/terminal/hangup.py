"""Detects a lost terminal and ends the program without one."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable

EXIT_TIMEOUT_S = 3.0
"""Timeout of an orderly exit in seconds after the terminal is lost: a command may have a batch running."""


def terminal_is_gone() -> bool:
    """Whether the terminal is lost. Detects it also where SIGHUP is ignored."""
    try:
        os.get_terminal_size(sys.__stderr__.fileno() if sys.__stderr__ is not None else -1)
    except OSError:
        return True
    return False


def hang_up(leave: Callable[[], None]) -> None:
    """Calls ``leave``, and ends the process after ``EXIT_TIMEOUT_S`` in any case.

    Restoring the terminal can hang: Textual's input thread was seen to spin.
    """
    end = threading.Timer(EXIT_TIMEOUT_S, os._exit, (0,))
    end.daemon = True
    end.start()
    leave()
