"""The data that the screens draw: the latest snapshot, history, events, health and connection status."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from previewops.health import SILENT_HEARTBEATS, Health, Thresholds
from previewops.health.from_snapshot import refresh_health
from previewops.snapshot.history import History
from previewops.snapshot.model import QueueEvent, Snapshot
from previewops.tui.protocols import SnapshotQuery

EVENTS_KEPT = 1_000
FIRST_EVENTS = 200

HEARTBEAT_MS = 1_000
"""Heartbeat interval of workers when PREVIEW_HEARTBEAT_MS is not known."""

SILENT_MS = SILENT_HEARTBEATS * HEARTBEAT_MS
"""A worker without a heartbeat for longer is counted as silent."""


@dataclass(frozen=True, slots=True)
class ConnectionLoss:
    """A lost connection: the reason, and the number of attempts since (0 in a recording)."""

    reason: str
    tries: int


@dataclass(frozen=True, slots=True)
class ReplayPosition:
    """Position within a recording: ``position_ms`` of ``duration_ms`` recorded, played at ``speed`` times real time.

    ``paused`` is whether playback is paused; ``opened`` is the fraction of the file read so far, 1 when it can be
    played.
    """

    opened: float = 0.0
    position_ms: int = 0
    duration_ms: int = 0
    speed: float = 1.0
    paused: bool = False

    @property
    def ended(self) -> bool:
        return self.opened >= 1 and self.position_ms >= self.duration_ms


@dataclass(frozen=True, slots=True)
class QueueView:
    """Everything that the screens show. ``snapshot`` is None until the first one arrives.

    ``age_s`` is the age of a stale snapshot in whole seconds. ``frozen``: the operator froze the display.
    ``interval_s`` is the poll interval. ``address`` is that of Redis, without secrets, ``context``
    its name in the settings file. ``environment`` is PREVIEW_ENV. ``replay`` is the position within a
    recording, None for a live queue. ``health`` is evaluated for this snapshot, with ``thresholds`` and the workers'
    ``heartbeat_ms``; inputs that a snapshot lacks are from the last health reading. ``local_time``: clock times are
    in the terminal's zone, else in UTC.
    """

    snapshot: Snapshot | None = None
    history: History = field(default_factory=History)
    events: tuple[QueueEvent, ...] = ()
    health: Health | None = None
    connection_loss: ConnectionLoss | None = None
    age_s: int = 0
    frozen: bool = False
    interval_s: float = 1.0
    running_command: str = ""
    queue_name: str = ""
    address: str = ""
    context: str = ""
    environment: str = ""
    read_only: bool = False
    replay: ReplayPosition | None = None
    thresholds: Thresholds = field(default_factory=Thresholds)
    heartbeat_ms: int = HEARTBEAT_MS
    local_time: bool = False

    @property
    def fetching_paused(self) -> bool:
        """Whether no data should be fetched: the display is frozen or the connection is lost."""
        return self.frozen or self.connection_loss is not None

    @property
    def connection_error(self) -> str:
        """Reason of the connection loss, "" while connected."""
        return self.connection_loss.reason if self.connection_loss is not None else ""

    def with_snapshot(self, snapshot: Snapshot) -> QueueView:
        events = (*self.events, *snapshot.events)[-EVENTS_KEPT:]
        history = self.history.with_snapshot(snapshot)
        return replace(
            self,
            snapshot=snapshot,
            history=history,
            health=_refreshed_health(self, self.health, snapshot, history),
            events=events,
            connection_loss=None,
            age_s=0,
        )

    def with_health(self, health: Health) -> QueueView:
        """The view with new health results, which may be those of an earlier snapshot."""
        if self.snapshot is not None:
            health = _refreshed_health(self, health, self.snapshot, self.history)
        return replace(self, health=health)

    def snapshot_query(self) -> SnapshotQuery:
        seconds, minutes = self.history.required_depth(self.snapshot is not None)
        return SnapshotQuery(
            history_s=seconds,
            history_min=minutes,
            events=FIRST_EVENTS,
            events_after=self.events[-1].event_id if self.events else "",
        )


def _refreshed_health(view: QueueView, health: Health | None, snapshot: Snapshot, history: History) -> Health:
    return refresh_health(
        health, snapshot, history.tens.values(), heartbeat_ms=view.heartbeat_ms, thresholds=view.thresholds
    )
