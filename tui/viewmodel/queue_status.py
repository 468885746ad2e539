"""The queue's status in a few words."""

from __future__ import annotations

from dataclasses import dataclass

from previewops.formatting import clean, format_age, format_duration, pluralize
from previewops.health import Status
from previewops.snapshot.history import History
from previewops.snapshot.model import Snapshot
from previewops.tui.state.queue_view import SILENT_MS, ConnectionLoss, QueueView
from previewops.tui.viewmodel.spans import Line, Span, Tone

WINDOW_MS = 300_000

STATUS_MARKS: dict[Status, tuple[str, Tone]] = {
    Status.OK: ("✓", Tone.GOOD),
    Status.WARNING: ("▲", Tone.WARN),
    Status.CRITICAL: ("✖", Tone.BAD),
    Status.UNKNOWN: ("?", Tone.WARN),
}
_HEALTH_STATUS = {
    Status.OK: ("●", "healthy", Tone.GOOD),
    Status.WARNING: ("▲", "needs attention", Tone.WARN),
    Status.CRITICAL: ("✖", "critical", Tone.BAD),
    Status.UNKNOWN: ("?", "health unknown", Tone.WARN),
}

_SMALL_BACKLOG = 3


@dataclass(frozen=True, slots=True)
class QueueStatus:
    """The queue's status: mark, headline and details."""

    mark: str
    headline: str
    details: str
    tone: Tone


def queue_status(view: QueueView) -> QueueStatus:
    """The most serious status."""
    snapshot = view.snapshot
    if snapshot is None:
        if view.connection_loss is not None:
            reason = connection_loss_text(view.connection_loss)
            return QueueStatus("✖", "cannot reach the queue", reason, Tone.BAD)
        if view.replay is not None:
            return QueueStatus("○", "opening the recording", f"{view.replay.opened:.0%}", Tone.DIM)
        return QueueStatus("○", "connecting", "", Tone.DIM)
    if view.connection_loss is not None:
        more = f"{connection_loss_text(view.connection_loss)}; data is {view.age_s} s old"
        return QueueStatus("✖", "connection lost", more, Tone.BAD)
    status = view.health.status if view.health is not None else Status.UNKNOWN
    return _connected_status(snapshot, view.history, status)


def format_empty_lines(view: QueueView) -> list[Line]:
    """The status in place of rows, without a snapshot."""
    status = queue_status(view)
    return [(Span(f"{status.mark} {status.headline}", status.tone),), (Span(status.details),)]


def connection_loss_text(connection_loss: ConnectionLoss) -> str:
    """The error, with the number of attempts if it is known."""
    tries = f" (try {connection_loss.tries})" if connection_loss.tries else ""
    return f"{clean(connection_loss.reason)}{tries}"


def _connected_status(snapshot: Snapshot, history: History, status: Status) -> QueueStatus:
    """Mark and tone are those of the overall health, whatever the text is about."""
    mark, word, tone = _HEALTH_STATUS[status]
    if snapshot.data_lost_ms is not None:
        more = f"detected {format_age(snapshot.data_lost_ms, snapshot.now_ms)}; bundles are kept"
        return QueueStatus(mark, "Redis lost the queue's data", more, tone)
    if snapshot.paused:
        since = format_age(snapshot.paused_since_ms, snapshot.now_ms)
        by = f" by {clean(snapshot.paused_by)}" if snapshot.paused_by else ""
        reason = f": {clean(snapshot.pause_reason)}" if snapshot.pause_reason else ""
        return QueueStatus("‖", f"paused {since}{by}{reason}", f"{snapshot.active} still running", tone)
    alive = len(alive_workers(snapshot))
    pending = pluralize(snapshot.pending, "job")
    if alive == 0:
        silent = len(snapshot.workers)
        headline = "no workers" if not silent else f"no live workers ({silent} silent)"
        more = f"{pending} waiting" if snapshot.pending else "nothing is waiting"
        return QueueStatus(mark, headline, more, tone)
    fatal = sum(worker.phase == "fatal" for view in snapshot.supervisors for worker in view.state.workers)
    if fatal:
        headline = f"{pluralize(fatal, 'worker')} given up"
        return QueueStatus(mark, headline, "see Workers; reset them after fixing the cause", tone)
    failing = sum(worker.failing for view in snapshot.supervisors for worker in view.state.workers)
    if failing:
        headline = f"{pluralize(failing, 'worker')} failing"
        return QueueStatus(mark, headline, "see Workers; they are started again until they work", tone)
    growing, more = _workload(snapshot, history, pluralize(alive, "worker"))
    return QueueStatus(mark, "backlog growing" if growing else word, more, tone)


def _workload(snapshot: Snapshot, history: History, workers: str) -> tuple[bool, str]:
    incoming, finished = flow_rates(history, snapshot.now_ms)
    if snapshot.backlog > _SMALL_BACKLOG and incoming > finished and incoming > 0:
        return True, f"{incoming:.0f} in and {finished:.0f} out per minute; {workers}"
    left = drain_ms(snapshot, history)
    if snapshot.backlog and left is not None:
        backlog = f"{pluralize(snapshot.backlog, 'job')} in the backlog"
        return False, f"{backlog}, drained in {format_duration(left)}; {workers}"
    if snapshot.pending:
        return False, f"{pluralize(snapshot.pending, 'job')} in progress; {workers}"
    return False, f"idle; {workers}"


def alive_workers(snapshot: Snapshot) -> tuple[str, ...]:
    """Ids of the workers with a recent heartbeat."""
    return tuple(
        worker.worker_id for worker in snapshot.workers if snapshot.now_ms - worker.heartbeat_ms <= SILENT_MS
    )


def flow_rates(history: History, now_ms: int, window_ms: int = WINDOW_MS) -> tuple[float, float]:
    """(incoming, finished) jobs per minute over the window, by default the last five minutes."""
    incoming = sum(history.rate_per_min(name, window_ms, now_ms) for name in ("accepted", "requeued"))
    finished = sum(
        history.rate_per_min(name, window_ms, now_ms) for name in ("completed", "died", "cancelled")
    )
    return incoming, finished


def drain_ms(snapshot: Snapshot, history: History) -> float | None:
    """Time in ms until the backlog is empty at the rate of the last minute; None if it does not shrink."""
    incoming, finished = flow_rates(history, snapshot.now_ms, 60_000)
    return snapshot.backlog / (finished - incoming) * 60_000 if finished > incoming else None
