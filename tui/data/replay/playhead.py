"""Where in a recording one is, and how fast one goes on from there. Pure, but for the clock that is handed in."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate

from previewops.clock import Clock
from previewops.recording.reader import Interval

SPEEDS = (0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0)
"""How many times as fast as it was."""


class Timeline:
    """The time that was recorded, without the time in which nobody did."""

    def __init__(self, stretches: Sequence[Interval]) -> None:
        """``stretches`` is not empty, and in the order of time."""
        self._stretches = tuple(stretches)
        lengths = [max(0, each.end_ms - each.start_ms) for each in stretches]
        self._begins = (0, *accumulate(lengths))

    @property
    def duration_ms(self) -> int:
        """How much was recorded."""
        return self._begins[-1]

    def server_time_ms(self, into_ms: int) -> int:
        """The server's time (ms) so far into the recording; at a seam, where it goes on."""
        place = min(bisect_right(self._begins, into_ms) - 1, len(self._stretches) - 1)
        stretch = self._stretches[max(0, place)]
        return min(stretch.start_ms + into_ms - self._begins[max(0, place)], stretch.end_ms)


class Playhead:
    """Goes through a timeline at ``speed``, from its start on, until it is held or at the end."""

    def __init__(self, timeline: Timeline, clock: Clock) -> None:
        self.timeline = timeline
        self.paused = False
        self._clock = clock
        self._speed = SPEEDS.index(1.0)
        self._left_ms = 0.0
        self._left_s = clock.monotonic()

    @property
    def speed(self) -> float:
        """How many times as fast as it was."""
        return SPEEDS[self._speed]

    @property
    def position_ms(self) -> int:
        """How far into the recorded time it is."""
        gone_ms = 0.0 if self.paused else (self._clock.monotonic() - self._left_s) * 1_000 * self.speed
        return round(min(self._left_ms + gone_ms, self.timeline.duration_ms))

    @property
    def server_time_ms(self) -> int:
        """The server's time (ms) where it is."""
        return self.timeline.server_time_ms(self.position_ms)

    def seek(self, into_ms: int) -> None:
        """Goes on from there, or from the nearest place that was recorded."""
        self._left_ms = max(0, min(into_ms, self.timeline.duration_ms))
        self._left_s = self._clock.monotonic()

    def seek_by(self, ms: int) -> None:
        """Goes forward, or back when it is below 0."""
        self.seek(self.position_ms + ms)

    def change_speed(self, step: int) -> None:
        """The next speed above or below, if there is one."""
        self.seek(self.position_ms)
        self._speed = max(0, min(self._speed + step, len(SPEEDS) - 1))

    def toggle_pause(self) -> None:
        """Stands still, or goes on."""
        self.seek(self.position_ms)
        self.paused = not self.paused
