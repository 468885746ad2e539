"""What turns of projects cost: no-op jobs per second through one worker process, with one project and with 1,000.

With --before another version beside this one, in one run on one private Redis without persistence: from one that has
no turns the difference is their cost. The versions alternate: jobs per second are the median of several rounds, and
processor times the least, because other programs add to them. On a busy machine read these, and ratios.

    python -m benchmarks.projects [--rounds N] [--jobs N] [--before COMMIT] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import redis

from benchmarks.peer_programs import PEERS
from benchmarks.queue import private_redis

CONCURRENCIES = (1, 10)
PROJECTS = (1, 1_000)
COLUMNS = {"perSecond": statistics.median, "cpuMs": min, "redisMs": min, "submitRedisMs": min}

Case = tuple[str, int, int]
"""Version, concurrency and number of projects."""


@contextmanager
def checked_out(commit: str) -> Iterator[Path]:
    """A work tree of a commit of this repository."""
    with tempfile.TemporaryDirectory(prefix="pvb-") as folder:
        tree = Path(folder) / "tree"
        subprocess.run(["git", "worktree", "add", "--quiet", "--detach", tree, commit], check=True)
        try:
            yield tree
        finally:
            subprocess.run(["git", "worktree", "remove", "--force", tree], check=True)


def measure(tree: Path, socket: str, concurrency: int, jobs: int, projects: int) -> dict[str, Any]:
    """Runs one measurement of a version in its own process, on an empty server."""
    with redis.Redis(unix_socket_path=socket) as client:
        client.flushall()
    peer = [sys.executable, str(PEERS / "previewops_peer.py"), f"unix://{socket}", "throughput"]
    run = subprocess.run(
        [*peer, str(concurrency), str(jobs), str(projects)],
        env={**os.environ, "PYTHONPATH": str(tree)},
        capture_output=True,
        text=True,
        check=True,
        timeout=600,
    )
    return dict(json.loads(run.stdout.strip().splitlines()[-1]))


def compare(trees: dict[str, Path], rounds: int, jobs: int) -> dict[Case, dict[str, float]]:
    """Figures of each case."""
    samples: dict[Case, list[dict[str, Any]]] = {}
    with private_redis() as socket:
        for _ in range(rounds):
            for concurrency in CONCURRENCIES:
                for projects in PROJECTS:
                    for version, tree in trees.items():
                        report = measure(tree, socket, concurrency, jobs, projects)
                        samples.setdefault((version, concurrency, projects), []).append(report)
    return {
        case: {name: combine(report[name] for report in reports) for name, combine in COLUMNS.items()}
        for case, reports in samples.items()
    }


def main() -> None:
    """Measures and prints the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--jobs", type=int, default=20_000)
    parser.add_argument("--before", metavar="COMMIT", help="another version to measure beside this one")
    parser.add_argument("--json", type=Path, help="write the figures to this file too")
    options = parser.parse_args()

    trees = {"this": Path(__file__).parents[1]}
    if options.before is None:
        figures = compare(trees, options.rounds, options.jobs)
    else:
        with checked_out(options.before) as tree:
            figures = compare({"before": tree, **trees}, options.rounds, options.jobs)

    load = os.getloadavg()
    when = f"{datetime.now(tz=UTC):%Y-%m-%d}"
    print(f"{when}, {os.cpu_count()} processors, load {load[0]:.1f}, {options.rounds} rounds")
    print(
        f"{'':<10}{'slots':>6}{'projects':>10}{'jobs/s':>10}{'worker ms':>11}{'Redis ms':>10}{'submit ms':>11}"
    )
    for (version, concurrency, projects), row in sorted(figures.items(), key=lambda item: item[0][1:]):
        print(
            f"{version:<10}{concurrency:>6}{projects:>10,}{row['perSecond']:>10,.0f}"
            f"{row['cpuMs']:>11.4f}{row['redisMs']:>10.4f}{row['submitRedisMs']:>11.4f}"
        )
    if options.json is not None:
        cases = [
            {"version": version, "concurrency": concurrency, "projects": projects, **row}
            for (version, concurrency, projects), row in figures.items()
        ]
        options.json.write_text(json.dumps({"when": when, "load": load, "cases": cases}))


if __name__ == "__main__":
    main()
