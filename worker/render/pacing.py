"""When the frames of a card with moving pictures are shown. Pure.

Pictures change at their own times as long as these are no more frequent than the frame rate; of a faster picture
the latest frame is shown at each tick. So slow and irregular pictures keep their times exactly.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

_US_PER_S = 1_000_000
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Pacing:
    """Bounds of a format: frames per second, the unit of its times, and the duration of its shortest frame."""

    fps: int
    unit_ms: int = 1
    least_ms: int = 1


@dataclass(frozen=True, slots=True)
class Change(Generic[T]):
    """Something of the card, named by ``key``, shows ``frame`` from ``at_us`` on."""

    at_us: int
    key: int
    frame: T


@dataclass(frozen=True, slots=True)
class Moment(Generic[T]):
    """From ``start_ms`` to ``end_ms`` the card shows ``frames``, by key, and what other keys showed before."""

    start_ms: int
    end_ms: int
    frames: dict[int, T]


def pace(changes: Iterable[Change[T]], pacing: Pacing, length_ms: int) -> Iterator[Moment[T]]:
    """Yields the moments of a card of ``length_ms``, from 0 to its end without a gap.

    ``changes`` are in the order of time and are read no further than the card lasts. Holds the frames of two moments.
    """
    shown: tuple[int, dict[int, T]] = (0, {})
    for at_us, frames in _merge(changes, pacing.fps, length_ms * 1_000):
        at_ms = _round(at_us, pacing.unit_ms)
        if at_ms <= 0:
            shown[1].update(frames)
            continue
        at_ms = max(at_ms, shown[0] + pacing.least_ms)
        if at_ms + pacing.least_ms > length_ms:
            break
        yield Moment(shown[0], at_ms, shown[1])
        shown = (at_ms, frames)
    yield Moment(shown[0], length_ms, shown[1])


def _merge(changes: Iterable[Change[T]], fps: int, length_us: int) -> Iterator[tuple[int, dict[int, T]]]:
    """Yields the changes that are shown together and when, no more often than ``fps`` on average.

    A generic cell rate algorithm with a tolerance of half a tick: a change is at most that much early.
    """
    tick_us = _US_PER_S // fps
    due_us, show_us = 0, 0
    waiting: dict[int, T] = {}
    for change in changes:
        if change.at_us >= length_us:
            break
        if waiting and change.at_us > show_us:
            yield show_us, waiting
            due_us, waiting = max(due_us, show_us) + tick_us, {}
        if not waiting:
            show_us = max(change.at_us, due_us - tick_us // 2)
        waiting[change.key] = change.frame
    if waiting and show_us < length_us:
        yield show_us, waiting


def _round(at_us: int, unit_ms: int) -> int:
    return round(at_us / (1_000 * unit_ms)) * unit_ms
