"""Runs the fault table and writes its results into docs/fault-report.md: ``python -m tests.fault.report``.

Every test under tests/fault ends with the checks of tests/fault/cluster.py, which add a line to a ledger. The table
is made of those lines, so it contains only results of a run.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any
from xml.etree import ElementTree

import psutil

from tests.fault.cluster import LEDGER

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "fault-report.md"
BEGIN, END = "<!-- report: begin -->\n", "<!-- report: end -->\n"
ELSEWHERE = (
    "tests/integration/test_queue_submit.py::test_thousand_concurrent_submits_of_one_job_accept_one",
    "tests/integration/test_queue_claims.py",
    "tests/integration/test_worker_failures.py",
    "tests/property/test_stored_data_fuzz.py",
)


@dataclass(slots=True)
class Row:
    """Results of one test in all runs."""

    test: str
    outcomes: list[str] = field(default_factory=list)
    jobs: int = 0
    lost: int = 0
    doubled: int = 0
    judged: int = 0
    recovery_ms: list[float] = field(default_factory=list)

    @property
    def number(self) -> int | None:
        """Number of the row in the fault table, from the name of the test."""
        match = re.search(r"_row_(\d+)_", self.test)
        return int(match.group(1)) if match else None

    @property
    def order(self) -> tuple[int, str]:
        return (self.number or 99, self.test)

    def cells(self) -> list[str]:
        title = self.test.split("::")[-1].removeprefix("test_")
        if self.number is not None:
            title = title.removeprefix(f"row_{self.number}_")
        passed = self.outcomes.count("passed")
        skipped = self.outcomes.count("skipped")
        ran = len(self.outcomes) - skipped
        result = "skipped" if ran == 0 else f"{passed} of {ran}" + (" **failed**" if passed < ran else "")
        counted = [str(self.jobs), str(self.lost), str(self.doubled)] if self.judged else ["", "", ""]
        return [
            str(self.number or ""),
            title.replace("_", " "),
            result,
            *counted,
            seconds(median(self.recovery_ms)) if self.recovery_ms else "",
            seconds(max(self.recovery_ms)) if self.recovery_ms else "",
        ]


def seconds(ms: float) -> str:
    return f"{ms / 1000:.2f} s"


def main(arguments: Sequence[str]) -> int:
    """Runs the table and writes the report. Returns 0 if all rows passed."""
    parser = argparse.ArgumentParser(prog="python -m tests.fault.report", description=__doc__)
    parser.add_argument("--repeat", type=int, default=3, metavar="N", help="runs of the whole table [3]")
    parser.add_argument("--print", action="store_true", help="print the table and do not change the page")
    parser.add_argument("tests", nargs="*", default=["tests/fault", *ELSEWHERE], help="tests to run")
    options = parser.parse_args(arguments)
    rows: dict[str, Row] = {}
    for turn in range(options.repeat):
        print(f"run {turn + 1} of {options.repeat}", file=sys.stderr)
        _run(options.tests, rows)
    text = _report(list(rows.values()), options.repeat)
    print(text)
    if not options.print:
        _insert(text)
    return any("failed" in row.outcomes for row in rows.values())


def _run(tests: Sequence[str], rows: dict[str, Row]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        ledger, results = Path(folder, "ledger"), Path(folder, "results.xml")
        subprocess.run(
            [
                sys.executable,
                "-m",
                "pytest",
                "-q",
                f"--junit-xml={results}",
                "-o",
                "junit_family=xunit1",
                *tests,
            ],
            cwd=ROOT,
            env={**os.environ, LEDGER: str(ledger)},
            stdout=sys.stderr,
            check=False,
        )
        for case in ElementTree.parse(results).iter("testcase"):
            test = f"{case.get('file')}::{case.get('name')}"
            rows.setdefault(test, Row(test)).outcomes.append(_outcome(case))
        lines = ledger.read_text().splitlines() if ledger.exists() else []
        for entry in map(json.loads, lines):
            _add(rows.setdefault(entry["test"], Row(entry["test"])), entry)


def _outcome(case: ElementTree.Element) -> str:
    if case.find("failure") is not None or case.find("error") is not None:
        return "failed"
    return "skipped" if case.find("skipped") is not None else "passed"


def _add(row: Row, entry: dict[str, Any]) -> None:
    row.judged += 1
    row.jobs += entry["jobs"]
    row.lost += entry["lost"]
    row.doubled += entry["doubled"]
    row.recovery_ms += entry["recoveryMs"]


def _report(rows: list[Row], repeat: int) -> str:
    named = sorted((row for row in rows if row.test.startswith("tests/fault/")), key=lambda row: row.order)
    others: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        if not row.test.startswith("tests/fault/"):
            others[row.test.split("::")[0]].append(row)
    memory = psutil.virtual_memory().total / 2**30
    head = ["Row", "Fault", "Passed", "Jobs", "Lost", "Doubled", "Recovery p50", "max"]
    table = [head, ["---"] * 3 + ["---:"] * 5, *(row.cells() for row in named)]
    lines = [
        f"Run of {datetime.now(UTC):%Y-%m-%d} by `python -m tests.fault.report --repeat {repeat}` on "
        f"{platform.system()} {platform.machine()} with {os.cpu_count()} processors and {memory:.0f} GiB, "
        f"Python {platform.python_version()}; load average over its last 15 minutes {os.getloadavg()[2]:.1f}.",
        "",
        *(f"| {' | '.join(cells)} |" for cells in table),
        "",
    ]
    for file, file_rows in others.items():
        outcomes = [outcome for row in file_rows for outcome in row.outcomes]
        lines.append(f"- `{file}`: {outcomes.count('passed')} of {len(outcomes)} passed")
    return "\n".join(lines) + "\n"


def _insert(text: str) -> None:
    page = PAGE.read_text("utf-8")
    before, rest = page.split(BEGIN)
    _, after = rest.split(END)
    PAGE.write_text(f"{before}{BEGIN}{text}{END}{after}", "utf-8")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
