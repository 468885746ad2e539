"""Clock times in UTC or in the zone of this terminal."""

from __future__ import annotations

import time
from dataclasses import dataclass

from previewops.clock import iso_from_ms


@dataclass(frozen=True, slots=True)
class ClockZone:
    """The zone of clock times: its name, and its offset from UTC in s."""

    name: str = "UTC"
    offset_s: int = 0

    @property
    def suffix(self) -> str:
        """What follows a clock time where space is short: "Z" or " CET"."""
        return "Z" if self == UTC else f" {self.name}"

    def iso(self, at_ms: int) -> str:
        """A time in this zone as in ISO 8601, without the zone: "2026-11-28T14:05:09.120"."""
        return iso_from_ms(at_ms + self.offset_s * 1_000)[:23]


UTC = ClockZone()


def zone_at(at_ms: int, *, local: bool) -> ClockZone:
    """UTC, or the zone of this terminal as it was at a time: summer and winter differ."""
    if not local:
        return UTC
    there = time.localtime(at_ms / 1_000)
    return ClockZone(there.tm_zone, there.tm_gmtoff)


def wall_clock(at_ms: int, *, local: bool) -> str:
    """A time in UTC or local time, as ``ClockZone.iso``."""
    return zone_at(at_ms, local=local).iso(at_ms)
