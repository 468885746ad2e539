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


class Pacer(Generic[T]):
    """Turns changes into the moments of one card, as they come. Holds the frames of at most three moments.

    Changes are shown no more often than the frame rate on average: a generic cell rate algorithm with a tolerance of
    half a tick, so that a change is at most that much early.
    """

    def __init__(self, pacing: Pacing, length_ms: int) -> None:
        self._pacing, self._length_ms = pacing, length_ms
        self._tick_us = _US_PER_S // pacing.fps
        self._due_us = self._show_us = 0
        self._waiting: dict[int, T] = {}  # shown together from _show_us on
        self._start_ms = 0
        self._shown: dict[int, T] = {}  # from _start_ms on
        self.is_done = False

    def feed(self, change: Change[T]) -> Iterator[Moment[T]]:
        """Yields what is complete before ``change``. They are in the order of time; none may follow the end."""
        if change.at_us >= self._length_ms * 1_000:
            yield from self.finish()
            return
        if self._waiting and change.at_us > self._show_us:
            yield from self._show()
            self._due_us = max(self._due_us, self._show_us) + self._tick_us
            if self.is_done:
                return
        if not self._waiting:
            self._show_us = max(change.at_us, self._due_us - self._tick_us // 2)
        self._waiting[change.key] = change.frame

    def finish(self) -> Iterator[Moment[T]]:
        """Yields what is left, up to the end of the card."""
        if self._waiting and not self.is_done and self._show_us < self._length_ms * 1_000:
            yield from self._show()
        yield from self._end()

    def _show(self) -> Iterator[Moment[T]]:
        """Begins the moment of the waiting frames, and yields the one before it."""
        frames, self._waiting = self._waiting, {}
        at_ms = _round(self._show_us, self._pacing.unit_ms)
        if at_ms <= 0:
            self._shown.update(frames)
            return
        at_ms = max(at_ms, self._start_ms + self._pacing.least_ms)
        if at_ms + self._pacing.least_ms > self._length_ms:
            yield from self._end()
            return
        yield Moment(self._start_ms, at_ms, self._shown)
        self._start_ms, self._shown = at_ms, frames

    def _end(self) -> Iterator[Moment[T]]:
        if not self.is_done:
            self.is_done = True
            yield Moment(self._start_ms, self._length_ms, self._shown)


def pace(changes: Iterable[Change[T]], pacing: Pacing, length_ms: int) -> Iterator[Moment[T]]:
    """Yields the moments of a card of ``length_ms``, from 0 to its end without a gap.

    ``changes`` are in the order of time and are read no further than the card lasts.
    """
    for _, moment in pace_together(changes, (pacing,), length_ms):
        yield moment


def pace_together(
    changes: Iterable[Change[T]], pacings: Iterable[Pacing], length_ms: int
) -> Iterator[tuple[Pacing, Moment[T]]]:
    """Yields the moments of a card by each of ``pacings``, while ``changes`` are read once."""
    pacers = {pacing: Pacer[T](pacing, length_ms) for pacing in pacings}
    for change in changes:
        for pacing, pacer in pacers.items():
            if not pacer.is_done:
                for moment in pacer.feed(change):
                    yield pacing, moment
        if all(pacer.is_done for pacer in pacers.values()):
            return
    for pacing, pacer in pacers.items():
        for moment in pacer.finish():
            yield pacing, moment


def _round(at_us: int, unit_ms: int) -> int:
    return round(at_us / (1_000 * unit_ms)) * unit_ms
