"""Output of ``up`` beside the TUI: lines are held back while the TUI uses the terminal."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

from previewops.cli.output import print_status

MAX_HELD_LINES = 50
"""Number of lines that are held; older ones are counted and dropped."""


class DeferredOutput:
    """Printer that prints at once, or after the TUI has ended."""

    def __init__(self) -> None:
        self._held: deque[str] = deque(maxlen=MAX_HELD_LINES)
        self._dropped = 0
        self._silent = False

    def print(self, line: str) -> None:
        """Prints a line now, or later if the TUI is running."""
        if not self._silent:
            print_status(line)
            return
        self._dropped += len(self._held) == MAX_HELD_LINES
        self._held.append(line)

    @contextmanager
    def deferred(self) -> Iterator[None]:
        """Holds lines back inside the block and prints them at its end."""
        self._silent = True
        try:
            yield
        finally:
            self._silent = False
            if self._dropped:
                print_status(f"… {self._dropped} earlier lines were dropped")
            for line in self._held:
                print_status(line)
            self._held.clear()
            self._dropped = 0
