"""The live view and the displayed one, which differ while the display is frozen. Independent of Textual."""

from __future__ import annotations

from dataclasses import replace

from previewops.clock import Clock
from previewops.health import Health
from previewops.snapshot.history import History
from previewops.snapshot.model import Snapshot
from previewops.tui.protocols import SnapshotQuery
from previewops.tui.state.queue_view import ConnectionLoss, QueueView, ReplayPosition


class DisplayState:
    """The live view and the displayed view. They are the same unless the display is frozen."""

    def __init__(self, view: QueueView, clock: Clock) -> None:
        self._live = view
        self._frozen: QueueView | None = None
        self._clock = clock
        self._updated_s = 0.0

    @property
    def live(self) -> QueueView:
        return self._live

    @property
    def shown(self) -> QueueView:
        """The displayed view. A frozen one still shows connection loss, running commands and replay position."""
        if self._frozen is None:
            return self._live
        live = self._live
        return replace(
            self._frozen,
            connection_loss=live.connection_loss,
            age_s=live.age_s,
            interval_s=live.interval_s,
            running_command=live.running_command,
            replay=live.replay,
            local_time=live.local_time,
        )

    def snapshot_query(self) -> SnapshotQuery:
        return self._live.snapshot_query()

    def add_snapshot(self, snapshot: Snapshot) -> bool:
        """Adds a snapshot; returns True when it is the first one after a connection loss."""
        back = self._live.connection_loss is not None and self._live.snapshot is not None
        self._live = self._live.with_snapshot(snapshot)
        self._updated_s = self._clock.monotonic()
        return back

    def set_replay_position(self, position: ReplayPosition) -> None:
        self._live = replace(self._live, replay=position)

    def show_recorded(
        self, snapshot: Snapshot, health: Health | None, connection_loss: ConnectionLoss | None, age_s: int
    ) -> None:
        """Replaces the view with a recorded snapshot. Earlier history and events are dropped."""
        fresh = replace(self._live, history=History(), events=(), health=None).with_snapshot(snapshot)
        # Recorded health results used the thresholds of that time.
        self._live = replace(
            fresh, health=health or fresh.health, connection_loss=connection_loss, age_s=age_s
        )

    def clear(self) -> None:
        """Removes the snapshot and everything that belongs to it."""
        self._live = replace(
            self._live, snapshot=None, history=History(), events=(), health=None, connection_loss=None
        )

    def record_failure(self, reason: str, tries: int) -> None:
        self._live = replace(self._live, connection_loss=ConnectionLoss(reason, tries), age_s=self._age_s())

    def update_age(self) -> bool:
        """Updates the age of a stale view; returns False when there is none."""
        if self._live.connection_loss is None or self._live.snapshot is None:
            return False
        self._live = replace(self._live, age_s=self._age_s())
        return True

    def set_health(self, health: Health) -> None:
        self._live = self._live.with_health(health)

    def set_poll_interval(self, interval_s: float) -> None:
        self._live = replace(self._live, interval_s=interval_s)

    def toggle_local_time(self) -> None:
        """Switches clock times between UTC and local time."""
        self._live = replace(self._live, local_time=not self._live.local_time)

    def set_running_command(self, summary: str) -> None:
        self._live = replace(self._live, running_command=summary)

    def toggle_freeze(self) -> bool:
        """Freezes or unfreezes the display; returns True when it is frozen now."""
        self._frozen = replace(self._live, frozen=True) if self._frozen is None else None
        return self._frozen is not None

    def _age_s(self) -> int:
        return int(self._clock.monotonic() - self._updated_s) if self._live.snapshot is not None else 0
