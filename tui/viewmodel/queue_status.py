"""The queue's status in a few words."""

from __future__ import annotations

from dataclasses import dataclass

from previewops.formatting import clean, format_duration, pluralize
from previewops.health import Status
from previewops.snapshot.history import History
from previewops.snapshot.model import Snapshot
from previewops.tui.state.queue_view import ConnectionLoss, QueueView
from previewops.tui.viewmodel.alarms import Alarm, alarms_of, alive_workers
from previewops.tui.viewmodel.spans import Line, Span, Tone

WINDOW_MS = 60_000
"""Window of all counts of arrivals and ends on the screen."""

WINDOW_TEXT = "in 60 s"

DETAILS_GAP = "; "
"""Between two details of a status."""

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


@dataclass(frozen=True, slots=True)
class QueueStatus:
    """The queue's status: mark, headline and details, and the alarm that the headline is about."""

    mark: str
    headline: str
    details: str
    tone: Tone
    alarm: Alarm | None = None


def queue_status(view: QueueView) -> QueueStatus:
    """The worst alarm, or what the queue does. Mark, tone and headline belong to the same alarm."""
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
    alarms = alarms_of(view)
    worst = alarms[0] if alarms and not alarms[0].silenced else None
    known = view.health is not None
    status = worst.status if worst is not None else Status.OK if known else Status.UNKNOWN
    mark, headline, tone = _HEALTH_STATUS[status]
    if worst is not None:
        mark, headline = ("‖" if worst.check.name == "paused" else mark), worst.headline
    return QueueStatus(mark, headline, _details(snapshot, view.history), tone, worst)


def format_empty_lines(view: QueueView) -> list[Line]:
    """The status in place of rows, without a snapshot."""
    status = queue_status(view)
    return [(Span(f"{status.mark} {status.headline}", status.tone),), (Span(status.details),)]


def connection_loss_text(connection_loss: ConnectionLoss) -> str:
    """The error, with the number of attempts if it is known."""
    tries = f" (try {connection_loss.tries})" if connection_loss.tries else ""
    return f"{clean(connection_loss.reason)}{tries}"


def _details(snapshot: Snapshot, history: History) -> str:
    """The workload: pending jobs, what came and went, how long the backlog lasts, and the workers."""
    alive = len(alive_workers(snapshot))
    parts = [f"{pluralize(snapshot.pending, 'job')} pending" if snapshot.pending else "nothing is pending"]
    arrived, ended = flow_counts(history, snapshot.now_ms)
    if arrived or ended:
        parts.append(f"{arrived:,} arrived, {ended:,} ended {WINDOW_TEXT}")
    parts.append(trend_text(snapshot, history))
    parts.append(pluralize(alive, "worker") if alive else "")
    return DETAILS_GAP.join(filter(None, parts))


def trend_text(snapshot: Snapshot, history: History) -> str:
    """How the backlog develops, from the same counts that the screen shows: "" without a backlog or a trend."""
    arrived, ended = flow_counts(history, snapshot.now_ms)
    left = drain_ms(snapshot, history)
    if not snapshot.backlog or arrived == ended:
        return ""
    if arrived > ended:
        return f"grew by {arrived - ended:,} {WINDOW_TEXT}"
    return "" if left is None else f"drained in {format_duration(left)}"


def flow_counts(history: History, now_ms: int) -> tuple[int, int]:
    """(arrived, ended) jobs within ``WINDOW_MS``. A requeued job did not arrive: an operator has put it back."""
    ended = sum(history.count_within(name, WINDOW_MS, now_ms) for name in ("completed", "died", "cancelled"))
    return history.count_within("accepted", WINDOW_MS, now_ms), ended


def drain_ms(snapshot: Snapshot, history: History) -> float | None:
    """Time in ms until the backlog is empty at the pace of ``WINDOW_MS``; None if it does not shrink."""
    arrived, ended = flow_counts(history, snapshot.now_ms)
    return snapshot.backlog / (ended - arrived) * WINDOW_MS if ended > arrived else None
