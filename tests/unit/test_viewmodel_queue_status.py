"""The queue's status: the worst alarm wins."""

from __future__ import annotations

from dataclasses import replace

import pytest

from previewops.health import CHECKS, Check, Health, Status
from previewops.snapshot.model import CounterBucket, Snapshot
from previewops.snapshot.silences import Silence
from previewops.states import Priority
from previewops.tui.keymap import SCREENS
from previewops.tui.state.queue_view import ConnectionLoss, QueueView, ReplayPosition
from previewops.tui.viewmodel.alarms import WORST_FIRST, alarms_of
from previewops.tui.viewmodel.bars import format_title_line
from previewops.tui.viewmodel.hints import screen_key
from previewops.tui.viewmodel.overview.panels import format_depth_lines, headline
from previewops.tui.viewmodel.queue_status import drain_ms, flow_counts, queue_status, trend_text
from previewops.tui.viewmodel.spans import Tone, plain_text
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
        (replace(WELL, dead=2), "2 dead letters", Tone.WARN),
        (replace(WELL, dead=2_000), "2,000 dead letters", Tone.BAD),
        (EMPTY, "no workers", Tone.BAD),
        (PAUSED, "1 worker given up", Tone.BAD),
        (replace(WELL, paused=True, paused_since_ms=NOW_MS - 5_000), "paused 5 s ago", Tone.WARN),
        (BUSY, "1 worker given up", Tone.BAD),
        (replace(PAUSED, data_lost_ms=NOW_MS - 1_000), "Redis lost the queue's data", Tone.BAD),
        (with_counts(BUSY, accepted=900, completed=100), "a job has waited 6 min 52 s", Tone.BAD),
        (with_counts(WELL, accepted=100, completed=900), "healthy", Tone.GOOD),
        (
            with_counts(WELL, completed=80, died=20),
            "20 of 100 finished jobs died in the last 5 min",
            Tone.WARN,
        ),
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
    assert "1,430 jobs pending" in queue_status(picture(silent)).details


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
    assert "6 jobs pending" in queue_status(picture(deep)).details


def test_the_worst_alarm_wins_by_severity_then_by_jobs_affected() -> None:
    dying = with_counts(
        replace(BUSY, waiting={Priority.NORMAL: 8}, active=0, delayed=0, dead=1_125, oldest_waiting_ms=0),
        accepted=1_133,
        completed=8,
        died=1_125,
    )
    state = queue_status(picture(dying))
    assert state.mark == "✖"
    assert "1,125" in state.headline.replace("1125", "1,125"), "not the backlog of 8"
    assert state.alarm is not None
    assert plain_text(state.alarm.remedy) == "4 opens Dead letters"
    alarms = alarms_of(picture(dying))
    ranks = [(WORST_FIRST.index(alarm.status), -alarm.affected) for alarm in alarms]
    assert ranks == sorted(ranks)


def test_every_alarm_names_the_key_of_its_remedy() -> None:
    for name in CHECKS:
        view = replace(
            picture(PAUSED), health=Health((Check(name, Status.WARNING, "it fails", "1", "advice"),), ())
        )
        (alarm,) = alarms_of(view)
        key, _, effect = plain_text(alarm.remedy).partition(" ")
        assert key in (*map(screen_key, dict(SCREENS)), "p")
        assert effect


def test_the_key_of_a_remedy_is_one_that_acts() -> None:
    paused = Check("paused", Status.WARNING, "paused", "yes", "")
    dead = Check("dead-letters", Status.WARNING, "82 dead letters", "82", "")
    view = replace(picture(PAUSED), health=Health((paused, dead), ()))

    def remedies(view: QueueView) -> list[str]:
        return sorted(plain_text(alarm.remedy) for alarm in alarms_of(view))

    assert remedies(view) == ["4 opens Dead letters", "p resumes it"]
    assert remedies(replace(view, read_only=True)) == ["4 opens Dead letters", "7 opens Health"]
    replayed = replace(view, read_only=True, replay=ReplayPosition(1.0))
    assert remedies(replayed) == ["7 opens Health", "7 opens Health"], "a recording has no dead letters"


def test_a_queue_that_runs_again_is_not_reported_as_paused_by_older_checks() -> None:
    paused = Check("paused", Status.WARNING, "the queue is paused", "yes", "")
    assert alarms_of(replace(picture(replace(PAUSED, paused=False)), health=Health((paused,), ()))) == ()


def test_headline_and_panel_count_the_same_arrivals_and_ends() -> None:
    snapshot = with_counts(BUSY, accepted=968, completed=200, died=33)
    view = picture(snapshot)
    assert flow_counts(view.history, NOW_MS) == (968, 233)
    assert "968 arrived, 233 ended in 60 s" in queue_status(view).details
    assert trend_text(snapshot, view.history) == "grew by 735 in 60 s"
    panel = "\n".join(plain_text(line) for line in format_depth_lines(view, 70))
    assert "grew by 735 in 60 s" in panel
    assert "drained" not in panel + queue_status(view).details


def test_a_bulk_requeue_is_not_an_arrival() -> None:
    snapshot = with_counts(BUSY, requeued=5_000, completed=233)
    view = picture(snapshot)
    assert flow_counts(view.history, NOW_MS) == (0, 233)
    assert trend_text(snapshot, view.history).startswith("drained in ")


def test_a_pause_is_shown_beside_a_worse_alarm() -> None:
    assert "‖ PAUSED" in plain_text(format_title_line(picture(PAUSED), 120))
    well = replace(WELL, paused=True, paused_by="ada", paused_since_ms=NOW_MS - 5_000)
    title = plain_text(format_title_line(picture(well), 120))
    assert "‖ paused 5 s ago by ada" in title
    assert "PAUSED" not in title


def test_a_silenced_alarm_is_listed_but_is_not_the_headline() -> None:
    silence = Silence("dead-letters", NOW_MS + 60_000, "critical", "ada", "known")
    checks = (
        Check("dead-letters", Status.CRITICAL, "9 dead letters", silence=silence),
        Check("paused", Status.WARNING, "the queue is paused"),
    )
    view = replace(picture(PAUSED), health=Health(checks))
    assert queue_status(view).headline.startswith("paused")
    lines = [plain_text(line) for line in headline(view, 100)]
    assert any("9 dead letters (silenced)" in line for line in lines[1:])
    alone = replace(view, health=Health(checks[:1]))
    assert queue_status(alone).headline == "healthy"
