"""The playback position within a recording, and its speed. Pure except for the injected clock."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate

from previewops.clock import Clock
from previewops.recording.reader import Interval

SPEEDS = (0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0)
"""Playback speeds as multiples of real time."""


class Timeline:
    """The recorded time, without the gaps between recordings."""

    def __init__(self, intervals: Sequence[Interval]) -> None:
        """``intervals`` were recorded, in order of time; at least one."""
        self._intervals = tuple(intervals)
        lengths = [max(0, interval.end_ms - interval.start_ms) for interval in intervals]
        self._begins = (0, *accumulate(lengths))

    @property
    def duration_ms(self) -> int:
        return self._begins[-1]

    def server_time_ms(self, position_ms: int) -> int:
        """The server's time (ms) at a position; at a boundary, the start of the next interval."""
        index = min(bisect_right(self._begins, position_ms) - 1, len(self._intervals) - 1)
        interval = self._intervals[max(0, index)]
        return min(interval.start_ms + position_ms - self._begins[max(0, index)], interval.end_ms)

    def position_ms(self, server_time_ms: int) -> int:
        """The position of a server's time (ms); of a time that was not recorded, the next one that was."""
        for interval, begin in zip(self._intervals, self._begins, strict=False):
            if server_time_ms <= interval.end_ms:
                return begin + max(0, server_time_ms - interval.start_ms)
        return self.duration_ms


class Playhead:
    """Moves through a timeline at ``speed``, from the start until it is paused or at the end."""

    def __init__(self, timeline: Timeline, clock: Clock) -> None:
        self.timeline = timeline
        self.paused = False
        self._clock = clock
        self._speed = SPEEDS.index(1.0)
        self._base_ms = 0.0
        self._base_s = clock.monotonic()

    @property
    def speed(self) -> float:
        return SPEEDS[self._speed]

    @property
    def position_ms(self) -> int:
        """Position within the recorded time, in ms."""
        elapsed_ms = 0.0 if self.paused else (self._clock.monotonic() - self._base_s) * 1_000 * self.speed
        return round(min(self._base_ms + elapsed_ms, self.timeline.duration_ms))

    @property
    def server_time_ms(self) -> int:
        return self.timeline.server_time_ms(self.position_ms)

    def seek(self, position_ms: int) -> None:
        """Moves to a position, clipped to the recorded time."""
        self._base_ms = max(0, min(position_ms, self.timeline.duration_ms))
        self._base_s = self._clock.monotonic()

    def seek_by(self, ms: int) -> None:
        self.seek(self.position_ms + ms)

    def change_speed(self, step: int) -> None:
        """Selects the next faster (1) or slower (-1) speed, if there is one."""
        self.seek(self.position_ms)
        self._speed = max(0, min(self._speed + step, len(SPEEDS) - 1))

    def toggle_pause(self) -> None:
        self.seek(self.position_ms)
        self.paused = not self.paused
