"""Selects which cache entries or bundles to remove, by age and total size. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol, TypeVar


class Evictable(Protocol):
    """An entry that takes disk space."""

    @property
    def size_bytes(self) -> int:
        """Bytes."""

    @property
    def last_used_s(self) -> float:
        """Time of last use, seconds since the epoch."""


_I = TypeVar("_I", bound=Evictable)


def select_evictions(
    items: Iterable[_I], *, now_s: float, max_age_s: float | None = None, max_bytes: int | None = None
) -> list[_I]:
    """Returns the items unused for longer than ``max_age_s``, then the least recently used beyond ``max_bytes``.

    None is unlimited. The result is ordered by last use, oldest first.
    """
    by_use = sorted(items, key=lambda item: item.last_used_s)
    left = sum(item.size_bytes for item in by_use)
    evicted = []
    for item in by_use:
        too_old = max_age_s is not None and now_s - item.last_used_s > max_age_s
        too_much = max_bytes is not None and left > max_bytes
        if not too_old and not too_much:
            break
        evicted.append(item)
        left -= item.size_bytes
    return evicted
