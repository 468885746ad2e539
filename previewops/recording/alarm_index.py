"""Moments of a recording at which its health changed. Pure.

The index reads only the health of a line: that takes a hundredth of the time of the whole line, and most lines repeat
the health of the line before.
"""

from __future__ import annotations

import json
from bisect import bisect_left, bisect_right
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import msgspec

from previewops.health import Health, Status

MAX_CHANGES = 10_000
"""Changes that are kept. A queue whose checks flap every 10 s has as many in a day."""

UNAVAILABLE = "redis-unavailable"
"""Stands for a check while there is a gap."""

_HEALTH = b'"health":'
_MAX_BYTES = 256 << 10


@dataclass(frozen=True, slots=True)
class HealthChange:
    """A change at ``at_ms`` (server ms): ``failing`` are the checks that fail from then on, with their status.

    ``began`` are those that failed less before, ``ended`` those that failed until then.
    """

    at_ms: int
    failing: Mapping[str, Status]
    began: tuple[str, ...]
    ended: tuple[str, ...]


class AlarmIndex:
    """All changes in the order of time. ``complete`` is False if there were more than ``MAX_CHANGES``."""

    def __init__(self) -> None:
        self.changes: list[HealthChange] = []
        self.complete = True
        self._starts: list[int] = []
        self._failing: Mapping[str, Status] = MappingProxyType({})
        self._last_health = b""
        self._last_failing: Mapping[str, Status] = self._failing

    def add_frame(self, at_ms: int, line: bytes) -> None:
        """Adds a frame. One without a valid health changes nothing, but ends a gap."""
        place = line.rfind(_HEALTH)
        health = line[place + len(_HEALTH) : -1] if place >= 0 else b""
        if health and health != self._last_health and len(health) <= _MAX_BYTES:
            self._last_health = health
            failing = _parse_failing(health)
            self._last_failing = self._last_failing if failing is None else failing
        self._change(at_ms, self._last_failing)

    def add_gap(self, at_ms: int) -> None:
        """Adds a time without a snapshot."""
        self._change(at_ms, {**self._last_failing, UNAVAILABLE: Status.CRITICAL})

    def next_after(self, at_ms: int) -> HealthChange | None:
        """The first change after a moment."""
        place = bisect_right(self._starts, at_ms)
        return self.changes[place] if place < len(self.changes) else None

    def last_before(self, at_ms: int) -> HealthChange | None:
        """The last change before a moment."""
        place = bisect_left(self._starts, at_ms)
        return self.changes[place - 1] if place else None

    def number_of(self, change: HealthChange) -> int:
        """The number of a change, from 1 on."""
        return self.changes.index(change) + 1

    def _change(self, at_ms: int, failing: Mapping[str, Status]) -> None:
        before = self._failing
        if failing == before:
            return
        if len(self.changes) == MAX_CHANGES:
            self.complete = False
            return
        self._failing = failing
        # Of a server whose clock was set back, the later changes of a moment follow the earlier.
        at_ms = max(at_ms, self._starts[-1] if self._starts else 0)
        began = tuple(name for name, status in failing.items() if before.get(name) != status)
        ended = tuple(name for name in before if name not in failing)
        self.changes.append(HealthChange(at_ms, failing, began, ended))
        self._starts.append(at_ms)


def _parse_failing(health: bytes) -> Mapping[str, Status] | None:
    """The checks that fail and are not silenced; None if that is not a health."""
    try:
        checks = msgspec.convert(json.loads(health), Health, str_keys=True).checks
    except (ValueError, RecursionError):
        return None
    return {check.name: check.effective_status for check in checks if check.effective_status is not Status.OK}
