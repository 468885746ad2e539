"""Where the time of a rendering went."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from time import perf_counter


class PhaseTimer:
    """Adds up phases. A phase inside another counts for itself only, so the phases add up to the whole."""

    def __init__(self) -> None:
        self._spent: defaultdict[str, float] = defaultdict(float)
        self._open: list[str] = []
        self._since = perf_counter()

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Counts the time inside the block for ``name``."""
        self._turn()
        self._open.append(name)
        try:
            yield
        finally:
            self._turn()
            self._open.pop()

    def _turn(self) -> None:
        now = perf_counter()
        if self._open:
            self._spent[self._open[-1]] += now - self._since
        self._since = now

    def elapsed_ms(self) -> dict[str, float]:
        """What each phase took, ms, to a tenth."""
        return {name: round(seconds * 1000, 1) for name, seconds in self._spent.items()}
