"""Health checks refreshed from a snapshot."""

from __future__ import annotations

from dataclasses import replace

import pytest

from previewops.health import Check, Health, PerfdataValue, Status, Thresholds
from previewops.health.from_snapshot import SNAPSHOT_CHECKS, refresh_health
from previewops.snapshot.model import Snapshot
from previewops.tui.state.queue_view import HEARTBEAT_MS, QueueView
from previewops.tui.viewmodel.bars import format_tab_line
from previewops.tui.viewmodel.overview.panels import headline
from previewops.tui.viewmodel.queue_status import queue_status
from previewops.tui.viewmodel.spans import plain_text
from tests.tui.scenes import BUSY, IDLE, SUPERVISORS

OLD = Health(
    (
        Check("dead-letters", Status.WARNING, "3 dead letters", "3", "look"),
        Check("disk", Status.WARNING, "1.0 GB free", "5% free", "make room"),
    ),
    (PerfdataValue("dead", 3), PerfdataValue("disk_free", 1e9, "B")),
)
CALM = replace(IDLE, dead=0, supervisors=(SUPERVISORS[0],))
MARKS = {Status.OK: ("●", "✓"), Status.WARNING: ("▲", "▲"), Status.CRITICAL: ("✖", "✖")}


def test_refresh_replaces_snapshot_checks_and_keeps_others() -> None:
    health = refresh_health(
        OLD, replace(CALM, dead=2), (), heartbeat_ms=HEARTBEAT_MS, thresholds=Thresholds()
    )
    assert [check.message for check in health.checks] == ["2 dead letters", "1.0 GB free"]
    assert [figure.value for figure in health.figures] == [2, 1e9]


def test_refresh_without_health_has_only_snapshot_checks() -> None:
    health = refresh_health(None, CALM, (), heartbeat_ms=HEARTBEAT_MS, thresholds=Thresholds())
    assert {check.name for check in health.checks} == SNAPSHOT_CHECKS
    assert health.status is Status.OK


def test_refresh_uses_given_thresholds() -> None:
    easy = QueueView(thresholds=Thresholds(dead_warning=3)).with_snapshot(replace(CALM, dead=2))
    assert queue_status(easy).headline == "healthy"


@pytest.mark.parametrize(
    ("snapshot", "status"),
    [
        (CALM, Status.OK),
        (replace(CALM, dead=2), Status.WARNING),
        (replace(CALM, workers=()), Status.CRITICAL),
        (BUSY, Status.CRITICAL),
    ],
)
def test_headline_alarms_and_tab_agree(snapshot: Snapshot, status: Status) -> None:
    picture = QueueView().with_snapshot(snapshot)
    mark, tab = MARKS[status]
    assert queue_status(picture).mark == mark
    assert f"Health {tab}" in plain_text(format_tab_line(picture, "overview", 120))
    lines = [plain_text(line) for line in headline(picture, 120)]
    assert bool(lines[1:]) == (status is not Status.OK)
    if status is Status.WARNING:
        assert lines[0].startswith(" ▲ 2 dead letters  4 opens Dead letters")
