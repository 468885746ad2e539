"""Which of many things to remove, by their age and by their number of bytes. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol, TypeVar


class Evictable(Protocol):
    """Something that takes room. ``used_s`` is when it was last of use, in s since the epoch."""

    @property
    def size_bytes(self) -> int:
        """Bytes."""

    @property
    def last_used_s(self) -> float:
        """Seconds since the epoch."""


_I = TypeVar("_I", bound=Evictable)


def select_evictions(
    items: Iterable[_I], *, now_s: float, max_age_s: float | None = None, max_bytes: int | None = None
) -> list[_I]:
    """Those unused for longer than ``max_age_s``, and of the rest those beyond ``max_bytes``, longest unused first.

    None means no bound. What is to go comes in the order of its last use.
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
