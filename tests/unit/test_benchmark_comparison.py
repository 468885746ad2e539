"""The table that compares a run of the benchmarks with the baseline."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks.compare import BASELINE, DOCUMENT, compare, with_table
from benchmarks.suite import SECTIONS, run_sections
from benchmarks.wanted import WANTED


def results(**rows: float) -> dict[str, Any]:
    return {
        "date": "2026-11-28",
        "commit": "abc",
        "machine": "2 processors",
        "loadBefore": 0.5,
        "loadAfter": 1.5,
        "rows": rows,
    }


def test_each_row_has_its_ratio_and_rows_of_one_side_are_listed() -> None:
    lines = list(compare(results(faster=5.0, new=1.0), results(faster=10.0, gone=3.0)))
    assert lines[0] == "run       2026-11-28  abc  2 processors, load 0.5 to 1.5"
    assert [line.split() for line in lines[3:]] == [
        ["faster", "5.000", "10.000", "0.50"],
        ["new", "1.000", "-", "-"],
        ["gone", "-", "3.000", "-"],
    ]


def test_a_row_says_whether_it_is_what_is_wanted() -> None:
    row = "6 steps, gif, processor ms"
    rate = "jobs/s at concurrency 2 ÷ BullMQ"
    lines = list(compare(results(**{row: 301.0, rate: 1.2}), results()))
    assert lines[3].endswith("≤ 300, not reached")
    assert lines[4].endswith("≥ 1.2")


def test_a_section_that_fails_leaves_the_others_and_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def fails() -> dict[str, float]:
        raise SystemExit("a job is dead")

    monkeypatch.setitem(SECTIONS, "queue", fails)
    monkeypatch.setitem(SECTIONS, "render", lambda: {"a row": 1.23456})
    measured: dict[str, Any] = {"rows": {}, "failed": {}, "sections": {}}
    assert not run_sections(["queue", "render"], measured, tmp_path / "bench.json")
    written = json.loads((tmp_path / "bench.json").read_text("utf-8"))
    assert written["rows"] == {"a row": 1.235}
    assert written["failed"] == {"queue": "SystemExit: a job is dead"}


def test_the_committed_baseline_can_be_compared() -> None:
    baseline = json.loads(BASELINE.read_text("utf-8"))
    lines = list(compare(baseline, baseline))
    assert len(lines) == 3 + len(baseline["rows"])
    assert len(baseline["rows"]) > 5 * len(SECTIONS)
    assert all(" 1.00" in line for line in lines[3:])


def test_the_table_of_the_document_is_that_of_the_baseline() -> None:
    document = DOCUMENT.read_text("utf-8")
    baseline = json.loads(BASELINE.read_text("utf-8"))
    assert with_table(document, baseline) == document, "run python -m benchmarks.compare --keep"
    assert all(f"| {row} |" in document for row in WANTED)
