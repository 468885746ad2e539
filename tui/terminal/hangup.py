"""A terminal that goes away: how it is noticed, and how to end without one."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable

EXIT_TIMEOUT_S = 3.0
"""How long an orderly end may take once the terminal is gone, in seconds: an act may have a batch under way."""


def terminal_is_gone() -> bool:
    """Whether what the screen is drawn on answers no more; a hang-up that is ignored leaves it so."""
    try:
        os.get_terminal_size(sys.__stderr__.fileno() if sys.__stderr__ is not None else -1)
    except OSError:
        return True
    return False


def hang_up(leave: Callable[[], None]) -> None:
    """Has ``leave`` end the program, and ends it after ``HANG_UP_S`` in any case.

    There is nothing to restore, and what tries to may fail for ever: Textual's thread of input has been seen to spin.
    """
    end = threading.Timer(EXIT_TIMEOUT_S, os._exit, (0,))
    end.daemon = True
    end.start()
    leave()
