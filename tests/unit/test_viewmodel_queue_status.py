"""The queue's status: the most serious condition wins."""

from __future__ import annotations

from dataclasses import replace

import pytest

from previewops.snapshot.model import CounterBucket, Snapshot
from previewops.states import Priority
from previewops.tui.state.queue_view import ConnectionLoss, QueueView
from previewops.tui.viewmodel.queue_status import drain_ms, queue_status
from previewops.tui.viewmodel.spans import Tone
from tests.tui.scenes import BUSY, EMPTY, IDLE, NOW_MS, PAUSED, SUPERVISORS

WELL = replace(IDLE, dead=0, supervisors=(SUPERVISORS[0],))


def picture(snapshot: Snapshot) -> QueueView:
    return QueueView().with_snapshot(snapshot)


def with_counts(snapshot: Snapshot, **counts: int) -> Snapshot:
    """The snapshot with these counts in the last whole 10 s and none before."""
    start = NOW_MS // 10_000 * 10_000 - 10_000
    return replace(
        snapshot, buckets=(CounterBucket(start, counts, {}, {}),), minutes=(), supervisors=(SUPERVISORS[0],)
    )


@pytest.mark.parametrize(
    ("snapshot", "headline", "tone"),
    [
        (WELL, "healthy", Tone.GOOD),
        (replace(WELL, dead=2), "needs attention", Tone.WARN),
        (replace(WELL, dead=2_000), "critical", Tone.BAD),
        (EMPTY, "no workers", Tone.BAD),
        (PAUSED, "paused 4 min ago by root@host7: deploying", Tone.BAD),
        (replace(WELL, paused=True, paused_since_ms=NOW_MS - 5_000), "paused 5 s ago", Tone.WARN),
        (BUSY, "1 worker given up", Tone.BAD),
        (replace(PAUSED, data_lost_ms=NOW_MS - 1_000), "Redis lost the queue's data", Tone.BAD),
        (with_counts(BUSY, accepted=900, completed=100), "backlog growing", Tone.BAD),
        (with_counts(WELL, accepted=100, completed=900), "healthy", Tone.GOOD),
        (with_counts(WELL, completed=80, died=20), "needs attention", Tone.WARN),
        (with_counts(WELL, completed=1, died=1), "healthy", Tone.GOOD),
    ],
)
def test_headline_per_state(snapshot: Snapshot, headline: str, tone: Tone) -> None:
    state = queue_status(picture(snapshot))
    assert (state.headline, state.tone) == (headline, tone)


def test_no_workers_is_unlike_busy_and_unlike_silent_ones() -> None:
    silent = replace(
        BUSY, workers=tuple(replace(worker, heartbeat_ms=NOW_MS - 60_000) for worker in BUSY.workers)
    )
    assert queue_status(picture(silent)).headline == "no live workers (4 silent)"
    assert "1,430 jobs waiting" in queue_status(picture(silent)).details


def test_a_lost_connection_wins_and_shows_the_age() -> None:
    connection_loss = replace(
        picture(PAUSED), connection_loss=ConnectionLoss("the connection was refused", 7), age_s=12
    )
    state = queue_status(connection_loss)
    assert state.headline == "connection lost"
    assert "try 7" in state.details
    assert "12 s old" in state.details
    never = queue_status(QueueView(connection_loss=ConnectionLoss("no such socket", 3)))
    assert never.headline == "cannot reach the queue"


def test_drain_time_only_while_the_backlog_shrinks() -> None:
    shrinking = picture(with_counts(BUSY, accepted=100, completed=1_100))
    assert shrinking.snapshot is not None
    left = drain_ms(shrinking.snapshot, shrinking.history)
    assert left is not None
    growing = picture(with_counts(BUSY, accepted=1_100, completed=100))
    assert growing.snapshot is not None
    assert drain_ms(growing.snapshot, growing.history) is None


def test_depth_of_every_class_counts_as_pending() -> None:
    deep = replace(IDLE, waiting={Priority.HIGH: 1, Priority.NORMAL: 2, Priority.LOW: 3})
    assert "6 jobs in progress" in queue_status(picture(deep)).details
