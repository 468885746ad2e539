"""Lifetime counters parsed from their hash."""

from __future__ import annotations

from previewops.metrics.families import FamilyBuilder
from previewops.metrics.lifetime_counters import (
    DEAD_LETTER_CAUSES,
    FAILURE_CAUSES,
    RETRY_CAUSES,
    LifetimeCounters,
)
from previewops.states import Priority


def test_fields_parse_by_name_priority_and_cause() -> None:
    totals = LifetimeCounters.parse(
        {
            b"w:high:0": b"2",
            b"w:high:12": b"3",
            b"r:high:12": b"4",
            b"failed:low:worker-lost": b"5",
            b"dryrun:normal": b"6",
        }
    )
    assert totals.wait_histogram(Priority.HIGH) == {0: 2, 12: 3}
    assert totals.run_histogram(Priority.HIGH) == {12: 4}
    assert totals.run_histogram(Priority.LOW) == {}
    assert totals.count("failed", Priority.LOW, "worker-lost") == 5
    assert totals.count("dryrun", Priority.NORMAL) == 6
    assert totals.count("dead", Priority.NORMAL, "attempts") == 0


def test_unknown_field_is_skipped() -> None:
    totals = LifetimeCounters.parse(
        {b"w:high:3": b"1", b"something:new": b"1", b"w:urgent:3": b"9", b"w:high:odd": b"9"}
    )
    assert totals.wait_histogram(Priority.HIGH) == {3: 1}


def test_invalid_count_is_skipped() -> None:
    totals = LifetimeCounters.parse(
        {
            b"w:high:3": b"1",
            b"x": b"1.5",
            b"w:high:4": b"many",
            b"w:high:5": b"-1",
            b"w:high:6": b"9" * 5_000,
            b"w:high:\xff": b"1",
            b"w:high:\xc2\xb2": b"1",
            b"w:high:257": b"1",
            b"w:high:03": b"9",
            b"r:high:99999999": b"1",
            b"r:high:256": b"2",
        }
    )
    assert totals.wait_histogram(Priority.HIGH) == {3: 1}
    assert totals.run_histogram(Priority.HIGH) == {256: 2}
    bins = {Priority.HIGH: totals.run_histogram(Priority.HIGH)}
    family = FamilyBuilder("q").histogram("x", "x", bins, range(3))
    assert family.samples[-1].value < float("inf")


def test_causes_are_fixed_lists() -> None:
    assert set(RETRY_CAUSES) < set(FAILURE_CAUSES)
    assert (
        len(FAILURE_CAUSES) * len(Priority)
        + len(RETRY_CAUSES) * len(Priority)
        + len(DEAD_LETTER_CAUSES) * len(Priority)
        == 30
    )


def test_metric_bounds_are_bin_bounds() -> None:
    # Bins 1 to 4 are the octave from 1 to 2 ms.
    bins = {0: 1, 1: 2, 4: 4, 5: 8, 9: 16}
    family = FamilyBuilder("q").histogram("x", "x", {Priority.HIGH: bins}, range(3))
    by_bound = {
        sample.labels.get("le"): sample.value for sample in family.samples if sample.name == "x_bucket"
    }
    assert by_bound == {"0.001": 1, "0.002": 7, "0.004": 15, "+Inf": 31}
