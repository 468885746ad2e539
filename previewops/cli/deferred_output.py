"""What ``up`` says beside its screen: while the screen has the terminal, lines are held back."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

from previewops.cli.output import print_status

MAX_HELD_LINES = 50
"""Lines that are kept; older ones are counted only."""


class DeferredOutput:
    """Says lines at once, or after the screen that has the terminal has left it."""

    def __init__(self) -> None:
        self._held: deque[str] = deque(maxlen=MAX_HELD_LINES)
        self._dropped = 0
        self._silent = False

    def print(self, line: str) -> None:
        """Prints a line, now or when the terminal is free."""
        if not self._silent:
            print_status(line)
            return
        self._dropped += len(self._held) == MAX_HELD_LINES
        self._held.append(line)

    @contextmanager
    def deferred(self) -> Iterator[None]:
        """Holds lines back meanwhile, and says them at the end."""
        self._silent = True
        try:
            yield
        finally:
            self._silent = False
            if self._dropped:
                print_status(f"… {self._dropped} earlier lines are not shown")
            for line in self._held:
                print_status(line)
            self._held.clear()
            self._dropped = 0
