"""Which picture is in sight: the live one, or the one that the operator holds still. No Textual in here."""

from __future__ import annotations

from dataclasses import replace

from previewops.clock import Clock
from previewops.health import Health
from previewops.snapshot.history import History
from previewops.snapshot.model import Snapshot
from previewops.tui.protocols import SnapshotQuery
from previewops.tui.state.queue_view import ConnectionLoss, QueueView, ReplayPosition


class DisplayState:
    """The live picture and the one that is shown. They are one and the same unless the display is frozen."""

    def __init__(self, picture: QueueView, clock: Clock) -> None:
        self._live = picture
        self._held: QueueView | None = None
        self._clock = clock
        self._arrived_s = 0.0

    @property
    def live(self) -> QueueView:
        """The picture as it would be if it were not frozen."""
        return self._live

    @property
    def shown(self) -> QueueView:
        """What is on display. A frozen one still tells that the connection is lost, and what is being done."""
        if self._held is None:
            return self._live
        live = self._live
        return replace(
            self._held,
            lost=live.lost,
            age_s=live.age_s,
            every_s=live.every_s,
            doing=live.doing,
            replaying=live.replaying,
        )

    def snapshot_query(self) -> SnapshotQuery:
        """What the next snapshot has to bring."""
        return self._live.snapshot_query()

    def add_snapshot(self, snapshot: Snapshot, took_ms: float) -> bool:
        """Takes a snapshot in; True when it is the first after the connection had been lost."""
        back = self._live.lost is not None and self._live.snapshot is not None
        self._live = self._live.with_snapshot(snapshot, took_ms)
        self._arrived_s = self._clock.monotonic()
        return back

    def set_replay_position(self, where: ReplayPosition) -> None:
        """Notes where in a recording one is."""
        self._live = replace(self._live, replaying=where)

    def show_recorded(
        self, snapshot: Snapshot, health: Health | None, lost: ConnectionLoss | None, age_s: int
    ) -> None:
        """Takes in what a recording tells of a moment. What was on display before has nothing to do with it."""
        fresh = replace(self._live, history=History(), events=(), health=None).with_snapshot(snapshot, 0.0)
        # What was recorded went by the thresholds of that time.
        self._live = replace(fresh, health=health or fresh.health, lost=lost, age_s=age_s)

    def clear(self) -> None:
        """Takes the picture off, of which nothing is true any more."""
        self._live = replace(self._live, snapshot=None, history=History(), events=(), health=None, lost=None)

    def record_failure(self, reason: str, tries: int) -> None:
        """Notes that a snapshot has not come."""
        self._live = replace(self._live, lost=ConnectionLoss(reason, tries), age_s=self._age_s())

    def update_age(self) -> bool:
        """Counts the age of a picture that cannot be renewed; False when there is none to count."""
        if self._live.lost is None or self._live.snapshot is None:
            return False
        self._live = replace(self._live, age_s=self._age_s())
        return True

    def set_health(self, health: Health) -> None:
        """Takes the queue's health in."""
        self._live = self._live.with_health(health)

    def set_poll_interval(self, every_s: float) -> None:
        """Notes how often snapshots are taken."""
        self._live = replace(self._live, every_s=every_s)

    def set_running_command(self, words: str) -> None:
        """Notes what is being carried out, "" for nothing."""
        self._live = replace(self._live, doing=words)

    def toggle_freeze(self) -> bool:
        """Holds the display still, or lets it go; True when it is held now."""
        self._held = replace(self._live, frozen=True) if self._held is None else None
        return self._held is not None

    def _age_s(self) -> int:
        return int(self._clock.monotonic() - self._arrived_s) if self._live.snapshot is not None else 0
