"""Compares the figures of a run with the committed baseline.

    python -m benchmarks.compare [FILE] [BASELINE]       bench.json, benchmarks/baseline.json

Prints each row with its ratio to the baseline. Exits with 0 whatever the ratios are: another machine or load changes
them.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from benchmarks.suite import RESULTS

BASELINE = Path(__file__).parent / "baseline.json"


def compare(run: Mapping[str, Any], baseline: Mapping[str, Any]) -> Iterator[str]:
    """Yields the lines of the table: rows of the run, then names of rows that only the baseline has."""
    for name, results in (("run", run), ("baseline", baseline)):
        load = f"load {results['loadBefore']} to {results['loadAfter']}"
        yield f"{name:<9} {results['date']}  {results['commit']}  {results['machine']}, {load}"
    yield f"{'':<60}{'run':>12}{'baseline':>12}{'ratio':>8}"
    for row, value in run["rows"].items():
        before = baseline["rows"].get(row)
        known = f"{before:>12,.3f}{value / before:>8.2f}" if before else f"{'-':>12}{'-':>8}"
        yield f"{row:<60}{value:>12,.3f}{known}"
    for row in baseline["rows"].keys() - run["rows"].keys():
        yield f"{row:<60}{'-':>12}{baseline['rows'][row]:>12,.3f}{'-':>8}"


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", type=Path, nargs="?", default=RESULTS)
    parser.add_argument("baseline", type=Path, nargs="?", default=BASELINE)
    options = parser.parse_args()
    for line in compare(*(json.loads(path.read_text("utf-8")) for path in (options.run, options.baseline))):
        print(line)


if __name__ == "__main__":
    main()
