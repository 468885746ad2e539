"""Timings of a render by phase."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from time import perf_counter


class PhaseTimer:
    """Measures phases. The outer phase excludes nested phases, so that all phases add up to the total."""

    def __init__(self) -> None:
        self._spent: defaultdict[str, float] = defaultdict(float)
        self._open: list[str] = []
        self._since = perf_counter()

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Adds the time inside the block to ``name``."""
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
        """Returns the duration of each phase, ms, rounded to a tenth."""
        return {name: round(seconds * 1000, 1) for name, seconds in self._spent.items()}
