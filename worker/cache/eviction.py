"""Selects entries to evict by age and total size. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol, TypeVar


class Evictable(Protocol):
    """An entry with its size and time of last use."""

    @property
    def size_bytes(self) -> int:
        """Size in bytes."""

    @property
    def last_used_s(self) -> float:
        """Time of last use, in s since the epoch."""


_I = TypeVar("_I", bound=Evictable)


def select_evictions(
    items: Iterable[_I], *, now_s: float, max_age_s: float | None = None, max_bytes: int | None = None
) -> list[_I]:
    """Items unused for longer than ``max_age_s``, and of the rest the least recently used beyond ``max_bytes``.

    None means no limit. The result is in order of last use.
    """
    by_use = sorted(items, key=lambda item: item.last_used_s)
    remaining_bytes = sum(item.size_bytes for item in by_use)
    evicted = []
    for item in by_use:
        too_old = max_age_s is not None and now_s - item.last_used_s > max_age_s
        too_much = max_bytes is not None and remaining_bytes > max_bytes
        if not too_old and not too_much:
            break
        evicted.append(item)
        remaining_bytes -= item.size_bytes
    return evicted
