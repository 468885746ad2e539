"""What the screens draw: the latest snapshot, what has been gathered before it, and how far it can be trusted."""

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
"""How often workers are heard of unless PREVIEW_HEARTBEAT_MS says otherwise, which the screen does not know."""

SILENT_MS = SILENT_HEARTBEATS * HEARTBEAT_MS
"""A worker that was not heard of for longer is not counted as there."""


@dataclass(frozen=True, slots=True)
class ConnectionLoss:
    """The connection is lost: why, and how often it was tried since; a recording does not tell that (0)."""

    reason: str
    tries: int


@dataclass(frozen=True, slots=True)
class ReplayPosition:
    """Where in a recording one is: ``at_ms`` of the ``whole_ms`` that were recorded, played ``speed`` times as fast.

    ``held`` is that it stands still; ``opened`` the share of the recording that has been looked through, 1 when it
    can be played.
    """

    opened: float = 0.0
    position_ms: int = 0
    duration_ms: int = 0
    speed: float = 1.0
    paused: bool = False

    @property
    def ended(self) -> bool:
        """Whether there is nothing left to play."""
        return self.opened >= 1 and self.position_ms >= self.duration_ms


@dataclass(frozen=True, slots=True)
class QueueView:
    """All that is known at one moment. ``snapshot`` is None until the first has come.

    ``age_s`` is how old the snapshot is, in whole seconds, while it cannot be renewed; ``frozen`` tells that the
    operator holds the display still; ``every_s`` how often a snapshot is taken, ``took_ms`` how long the last took;
    ``doing`` what is being carried out, in words. ``place`` names the queue and ``environment`` is PREVIEW_ENV;
    ``replaying`` says where in a recording one is, None for a live queue. ``health`` is of this very snapshot, but
    for what a snapshot does not tell: that is as it was last asked for, or left out before it has been. It goes by
    ``thresholds``, and by how often workers are heard of.
    """

    snapshot: Snapshot | None = None
    history: History = field(default_factory=History)
    events: tuple[QueueEvent, ...] = ()
    health: Health | None = None
    lost: ConnectionLoss | None = None
    age_s: int = 0
    frozen: bool = False
    every_s: float = 1.0
    took_ms: float = 0.0
    doing: str = ""
    place: str = ""
    environment: str = ""
    read_only: bool = False
    replaying: ReplayPosition | None = None
    thresholds: Thresholds = field(default_factory=Thresholds)
    heartbeat_ms: int = HEARTBEAT_MS

    @property
    def fetching_paused(self) -> bool:
        """Whether nothing that goes with it is to be fetched: it is held, or there is nobody to ask."""
        return self.frozen or self.lost is not None

    @property
    def connection_error(self) -> str:
        """Why it is not renewed, "" while it is."""
        return self.lost.reason if self.lost is not None else ""

    def with_snapshot(self, snapshot: Snapshot, took_ms: float) -> QueueView:
        """The picture with a snapshot that has just come."""
        events = (*self.events, *snapshot.events)[-EVENTS_KEPT:]
        history = self.history.with_snapshot(snapshot)
        return replace(
            self,
            snapshot=snapshot,
            history=history,
            health=_renewed(self, self.health, snapshot, history),
            events=events,
            lost=None,
            age_s=0,
            took_ms=took_ms,
        )

    def with_health(self, health: Health) -> QueueView:
        """The picture with verdicts that have just come. They may be of an earlier snapshot than its own."""
        if self.snapshot is not None:
            health = _renewed(self, health, self.snapshot, self.history)
        return replace(self, health=health)

    def snapshot_query(self) -> SnapshotQuery:
        """What the next snapshot has to bring."""
        seconds, minutes = self.history.required_depth(self.snapshot is not None)
        return SnapshotQuery(
            history_s=seconds,
            history_min=minutes,
            events=FIRST_EVENTS,
            events_after=self.events[-1].event_id if self.events else "",
        )


def _renewed(picture: QueueView, health: Health | None, snapshot: Snapshot, history: History) -> Health:
    return refresh_health(
        health,
        snapshot,
        history.tens.values(),
        heartbeat_ms=picture.heartbeat_ms,
        thresholds=picture.thresholds,
    )
