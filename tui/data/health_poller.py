"""When a queue's health is judged: that asks the server for more than a snapshot does, so every few seconds only."""

from __future__ import annotations

from typing import TYPE_CHECKING

from previewops.clock import Clock
from previewops.tui.protocols import HealthSource

if TYPE_CHECKING:
    from previewops.health import Health
    from previewops.snapshot.history import History
    from previewops.snapshot.model import Snapshot

HEALTH_SCREEN_INTERVAL_S = 2.0
BACKGROUND_INTERVAL_S = 10.0


class HealthPoller:
    """Judgements of one queue, never two at a time."""

    def __init__(self, judge: HealthSource, clock: Clock) -> None:
        self._judge = judge
        self._clock = clock
        self._begun_s: float | None = None
        self._under_way = False

    def try_start(self, *, often: bool) -> bool:
        """Whether one is to begin now. Who is told so calls ``verdicts``."""
        now = self._clock.monotonic()
        due = self._begun_s is None or now - self._begun_s >= (
            HEALTH_SCREEN_INTERVAL_S if often else BACKGROUND_INTERVAL_S
        )
        # One that takes longer than the pause goes on: given up each time, it would never come to an end.
        if not due or self._under_way:
            return False
        self._begun_s, self._under_way = now, True
        return True

    async def fetch(self, snapshot: Snapshot, history: History) -> Health:
        """The verdicts on a snapshot.

        Raises:
            PreviewopsError: what they need could not be learnt.
        """
        try:
            return await self._judge.health(snapshot, history)
        finally:
            self._under_way = False
