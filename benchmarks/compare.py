"""Compares the figures of a run with the committed baseline, and keeps a run as the next baseline.

    python -m benchmarks.compare [FILE] [BASELINE]       bench.json, benchmarks/baseline.json
    python -m benchmarks.compare --keep [FILE]           FILE becomes the baseline, and the table of the docs

Prints each row with its ratio to the baseline, and whether it is what is wanted. Exits with 0 whatever the ratios
are: another machine or load changes them.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from benchmarks.suite import RESULTS
from benchmarks.wanted import WANTED

BASELINE = Path(__file__).parent / "baseline.json"
DOCUMENT = Path(__file__).parents[1] / "docs" / "benchmarks.md"
TABLE_BEGIN, TABLE_END = "<!-- baseline: begin -->", "<!-- baseline: end -->"


def compare(run: Mapping[str, Any], baseline: Mapping[str, Any]) -> Iterator[str]:
    """Yields the lines of the table: rows of the run, then names of rows that only the baseline has."""
    for name, results in (("run", run), ("baseline", baseline)):
        load = f"load {results['loadBefore']} to {results['loadAfter']}"
        yield f"{name:<9} {results['date']}  {results['commit']}  {results['machine']}, {load}"
    yield f"{'':<60}{'run':>12}{'baseline':>12}{'ratio':>8}   wanted"
    for row, value in run["rows"].items():
        before = baseline["rows"].get(row)
        known = f"{before:>12,.3f}{value / before:>8.2f}" if before else f"{'-':>12}{'-':>8}"
        yield f"{row:<60}{value:>12,.3f}{known}{_wanted(row, value)}"
    for row in baseline["rows"].keys() - run["rows"].keys():
        yield f"{row:<60}{'-':>12}{baseline['rows'][row]:>12,.3f}{'-':>8}"


def _wanted(row: str, value: float) -> str:
    bound = WANTED.get(row)
    if bound is None:
        return ""
    return f"   {bound}{'' if bound.holds(value) else ', not reached'}"


def table(results: Mapping[str, Any]) -> str:
    """The rows that have a wanted figure, as Markdown."""
    peers = "".join(f", {name} {version}" for name, version in results.get("peers", {}).items())
    load = f"load {results['loadBefore']} before, {results['loadAfter']} after"
    lines = [
        f"{results['date']}, commit {results['commit']}, {results['machine']}{peers}, {load}:",
        "",
        "| row | measured | wanted | |",
        "|---|---|---|---|",
    ]
    for row, bound in WANTED.items():
        value = results["rows"].get(row)
        if value is None:
            lines.append(f"| {row} | | {bound} | not measured |")
        else:
            lines.append(
                f"| {row} | {value:g} | {bound} | {'reached' if bound.holds(value) else 'not reached'} |"
            )
    return "\n".join(lines)


def with_table(document: str, results: Mapping[str, Any]) -> str:
    """The document with the table of ``results`` between its two marks.

    Raises:
        ValueError: the document lacks a mark.
    """
    begin, end = document.index(TABLE_BEGIN) + len(TABLE_BEGIN), document.index(TABLE_END)
    return f"{document[:begin]}\n{table(results)}\n{document[end:]}"


def keep(results: Mapping[str, Any]) -> None:
    """Makes ``results`` the baseline, and writes the table of the document."""
    if results.get("failed"):
        sys.exit(f"{', '.join(results['failed'])} failed in this run: measure again, then keep it")
    BASELINE.write_text(json.dumps(results, indent=2, ensure_ascii=False) + "\n", "utf-8")
    DOCUMENT.write_text(with_table(DOCUMENT.read_text("utf-8"), results), "utf-8")


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", type=Path, nargs="?", default=RESULTS)
    parser.add_argument("baseline", type=Path, nargs="?", default=BASELINE)
    parser.add_argument("--keep", action="store_true", help="make the run the baseline")
    options = parser.parse_args()
    run = json.loads(options.run.read_text("utf-8"))
    if options.keep:
        keep(run)
        return
    for line in compare(run, json.loads(options.baseline.read_text("utf-8"))):
        print(line)


if __name__ == "__main__":
    main()
