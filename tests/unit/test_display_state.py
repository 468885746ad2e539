"""The displayed view: live, frozen, or the last one before a connection loss."""

from __future__ import annotations

from dataclasses import replace

from previewops.tui.state.display_state import DisplayState
from previewops.tui.state.queue_view import ConnectionLoss, QueueView
from tests.tui.scenes import BUSY, EVENTS, HEALTH, IDLE, NOW_MS


class Ticking:
    def __init__(self) -> None:
        self.seconds = 50.0

    def now_ms(self) -> int:
        return NOW_MS

    def monotonic(self) -> float:
        return self.seconds


def test_the_age_grows_only_while_disconnected() -> None:
    clock = Ticking()
    sight = DisplayState(QueueView(), clock)
    sight.add_snapshot(BUSY)
    clock.seconds += 30
    assert not sight.update_age()
    sight.record_failure("gone", 1)
    assert (sight.shown.connection_loss, sight.shown.age_s) == (ConnectionLoss("gone", 1), 30)
    clock.seconds += 5
    assert sight.update_age()
    assert sight.shown.age_s == 35
    assert sight.add_snapshot(BUSY), "it is connected again"
    assert (sight.shown.connection_loss, sight.shown.age_s) == (None, 0)
    assert not sight.add_snapshot(BUSY)


def test_a_frozen_view_shows_the_connection_loss() -> None:
    sight = DisplayState(QueueView(), Ticking())
    sight.add_snapshot(BUSY)
    judged = sight.shown.health
    assert sight.toggle_freeze()
    sight.add_snapshot(IDLE)
    sight.set_health(HEALTH)
    sight.record_failure("gone", 2)
    assert sight.shown.snapshot is BUSY
    assert sight.shown.health is judged
    assert sight.shown.connection_loss == ConnectionLoss("gone", 2)
    assert not sight.toggle_freeze()
    assert sight.shown.snapshot is IDLE


def test_events_are_collected_once_and_bounded() -> None:
    picture = QueueView().with_snapshot(BUSY)
    assert picture.events == EVENTS
    assert picture.snapshot_query().events_after == EVENTS[-1].event_id
    for number in range(300):
        more = tuple(replace(event, event_id=f"{number}-{place}") for place, event in enumerate(EVENTS))
        picture = picture.with_snapshot(replace(IDLE, events=more))
    assert len(picture.events) == 1_000
    assert picture.events[-1].event_id.startswith("299-")
