"""The table that compares a run of the benchmarks with the baseline."""

from __future__ import annotations

import json
from typing import Any

from benchmarks.compare import BASELINE, compare
from benchmarks.suite import SECTIONS


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


def test_the_committed_baseline_can_be_compared() -> None:
    baseline = json.loads(BASELINE.read_text("utf-8"))
    lines = list(compare(baseline, baseline))
    assert len(lines) == 3 + len(baseline["rows"])
    assert len(baseline["rows"]) > 5 * len(SECTIONS)
    assert all(line.endswith(" 1.00") for line in lines[3:])
