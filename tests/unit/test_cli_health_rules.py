"""The rules of health, on plain values."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest

from previewops.health import Check, Facts, Health, Status, Thresholds, judge, unknown, unreachable

WELL = Facts(
    waiting=3,
    delayed=1,
    active=2,
    dead=0,
    oldest_waiting_ms=1_500,
    paused=False,
    paused_by="",
    unaccounted=0,
    worker_ages_ms=(200, 900),
    heartbeat_ms=1_000,
    eviction_policy="noeviction",
    persistent=True,
)


def test_all_is_well() -> None:
    health = judge(WELL, Thresholds())
    assert health.status is Status.OK
    assert {check.status for check in health.checks} == {Status.OK}
    assert health.first_line().startswith(
        "PREVIEWOPS OK - 2 workers, 4 jobs pending, 2 active | waiting=3;;;0; "
    )


@pytest.mark.parametrize(
    ("change", "status", "name"),
    [
        ({"worker_ages_ms": ()}, Status.CRITICAL, "workers"),
        ({"worker_ages_ms": (3_001, 9_000)}, Status.CRITICAL, "workers"),
        ({"worker_ages_ms": (3_000, 3_001)}, Status.WARNING, "workers"),
        ({"worker_ages_ms": (3_000,)}, Status.OK, "workers"),
        ({"eviction_policy": "allkeys-lru"}, Status.WARNING, "eviction"),
        ({"persistent": False}, Status.WARNING, "persistence"),
        ({"oldest_waiting_ms": 59_999}, Status.OK, "oldest-waiting"),
        ({"oldest_waiting_ms": 60_000}, Status.WARNING, "oldest-waiting"),
        ({"oldest_waiting_ms": 300_000}, Status.CRITICAL, "oldest-waiting"),
        ({"dead": 1}, Status.WARNING, "dead-letters"),
        ({"dead": 99}, Status.WARNING, "dead-letters"),
        ({"dead": 100}, Status.CRITICAL, "dead-letters"),
        ({"paused": True, "paused_by": "alice@host"}, Status.WARNING, "paused"),
        ({"unaccounted": 1}, Status.CRITICAL, "accounting"),
        ({"unaccounted": -1}, Status.OK, "accounting"),
        ({"lost_at": "2026-01-02T03:04:05.000Z"}, Status.CRITICAL, "data-loss"),
    ],
)
def test_each_rule(change: dict[str, Any], status: Status, name: str) -> None:
    health = judge(replace(WELL, **change), Thresholds())
    assert health.status is status
    assert {check.name: check.status for check in health.checks}[name] is status
    assert sum(check.status is not Status.OK for check in health.checks) == (status is not Status.OK)


def test_what_could_not_be_learnt_is_not_judged() -> None:
    health = judge(replace(WELL, eviction_policy=None, persistent=None), Thresholds())
    assert health.status is Status.OK
    assert {"eviction", "persistence"}.isdisjoint(check.name for check in health.checks)


def test_thresholds_can_be_moved() -> None:
    facts = replace(WELL, dead=5)
    assert judge(facts, Thresholds(dead_warning=6)).status is Status.OK
    assert judge(facts, Thresholds(dead_warning=2, dead_critical=5)).status is Status.CRITICAL


def test_the_worst_comes_first_in_the_line() -> None:
    line = judge(replace(WELL, paused=True, dead=200), Thresholds()).first_line()
    assert line.startswith("PREVIEWOPS CRITICAL - 200 dead letters; the queue is paused | ")


def test_critical_beats_unknown_beats_warning() -> None:
    checks = [Check(status.name, status, "m") for status in Status]
    assert Health(tuple(checks)).status is Status.CRITICAL
    assert (
        Health(tuple(check for check in checks if check.status is not Status.CRITICAL)).status
        is Status.UNKNOWN
    )


def test_performance_data_are_as_the_guidelines_want_them() -> None:
    line = judge(replace(WELL, oldest_waiting_ms=75_250, dead=7), Thresholds()).first_line()
    data = line.partition(" | ")[2].split(" ")
    number = r"-?[0-9.]+"
    for item in data:
        assert re.fullmatch(rf"[a-z_]+={number}(s|)?;({number})?;({number}:?)?;0;", item), item
    assert "oldest_waiting=75.25s;60;300;0;" in data
    assert "dead=7;0;99;0;" in data


def test_large_figures_are_written_out() -> None:
    assert " waiting=1234567;" in judge(replace(WELL, waiting=1_234_567), Thresholds()).first_line()


def test_a_pause_says_by_whom_and_why() -> None:
    paused = replace(WELL, paused=True, paused_by="root@host7", paused_why="deploying")
    assert "paused by root@host7: deploying" in judge(paused, Thresholds()).first_line()


def test_a_bar_in_a_message_does_not_end_the_text() -> None:
    line = judge(replace(WELL, paused=True, paused_by="a|b"), Thresholds()).first_line()
    assert line.count("|") == 1


def test_without_redis_or_sense() -> None:
    assert unreachable("gone").first_line() == "PREVIEWOPS CRITICAL - gone"
    assert unknown("what?").first_line() == "PREVIEWOPS UNKNOWN - what?"
    assert unknown("what?").as_json()["exitCode"] == 3
