"""Decides when to read the queue's health, which costs the server more than a snapshot."""

from __future__ import annotations

from previewops.clock import Clock
from previewops.health import Health
from previewops.snapshot.history import History
from previewops.snapshot.model import Snapshot
from previewops.tui.protocols import HealthSource

HEALTH_SCREEN_INTERVAL_S = 2.0
BACKGROUND_INTERVAL_S = 10.0


class HealthPoller:
    """Reads the health of one queue, never twice at the same time."""

    def __init__(self, judge: HealthSource, clock: Clock) -> None:
        self._judge = judge
        self._clock = clock
        self._begun_s: float | None = None
        self._under_way = False

    def try_start(self, *, often: bool) -> bool:
        """Starts a reading if one is due and none is running. After True, call ``fetch``."""
        now = self._clock.monotonic()
        due = self._begun_s is None or now - self._begun_s >= (
            HEALTH_SCREEN_INTERVAL_S if often else BACKGROUND_INTERVAL_S
        )
        # A slow reading continues beyond the interval: cancelled each time, it would never finish.
        if not due or self._under_way:
            return False
        self._begun_s, self._under_way = now, True
        return True

    async def fetch(self, snapshot: Snapshot, history: History) -> Health:
        """The health result of a snapshot.

        Raises:
            PreviewopsError: its inputs could not be read.
        """
        try:
            return await self._judge.health(snapshot, history)
        finally:
            self._under_way = False
