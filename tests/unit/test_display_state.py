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
    state = DisplayState(QueueView(), clock)
    state.add_snapshot(BUSY)
    clock.seconds += 30
    assert not state.update_age()
    state.record_failure("gone", 1)
    assert (state.shown.connection_loss, state.shown.age_s) == (ConnectionLoss("gone", 1), 30)
    clock.seconds += 5
    assert state.update_age()
    assert state.shown.age_s == 35
    assert state.add_snapshot(BUSY), "it is connected again"
    assert (state.shown.connection_loss, state.shown.age_s) == (None, 0)
    assert not state.add_snapshot(BUSY)


def test_a_frozen_view_shows_the_connection_loss() -> None:
    state = DisplayState(QueueView(), Ticking())
    state.add_snapshot(BUSY)
    judged = state.shown.health
    assert state.toggle_freeze()
    state.add_snapshot(IDLE)
    state.set_health(HEALTH)
    state.record_failure("gone", 2)
    assert state.shown.snapshot is BUSY
    assert state.shown.health is judged
    assert state.shown.connection_loss == ConnectionLoss("gone", 2)
    assert not state.toggle_freeze()
    assert state.shown.snapshot is IDLE


def test_events_are_collected_once_and_bounded() -> None:
    picture = QueueView().with_snapshot(BUSY)
    assert picture.events == EVENTS
    assert picture.snapshot_query().events_after == EVENTS[-1].event_id
    for number in range(300):
        more = tuple(replace(event, event_id=f"{number}-{place}") for place, event in enumerate(EVENTS))
        picture = picture.with_snapshot(replace(IDLE, events=more))
    assert len(picture.events) == 1_000
    assert picture.events[-1].event_id.startswith("299-")
