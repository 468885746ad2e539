"""Runs the benchmarks that have figures to keep, and writes them to one JSON file, a number a row.

    python -m benchmarks.suite [--json FILE] [--only SECTION …]
    python -m benchmarks.compare FILE                    its rows over those of baseline.json

Ten minutes on two cores at rest. Rows are ratios within this run where there is a peer, else processor time or bytes,
since all of these depend less on other load than wall time does. Each section may also be run alone, with tables.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from benchmarks import costs, pipeline, queue, render, screen
from previewops.build import build_id

RESULTS = Path("bench.json")
Rows = dict[str, float]


def measure_queue() -> Rows:
    """No-op jobs per second and submit to start, over the same of each peer."""
    rows: Rows = {}
    peers = queue.available_peers()
    with queue.private_redis() as socket:
        rates, cpu_ms, redis_ms = queue.throughput(peers, socket, rounds=5, jobs=10_000)
        delays = queue.latency(peers, socket)
    for peer in peers:
        if peer == "previewops":
            continue
        for concurrency, rate in rates[peer].items():
            rows[f"jobs/s at concurrency {concurrency} ÷ {peer}"] = rates["previewops"][concurrency] / rate
            used = cpu_ms["previewops"][concurrency] / cpu_ms[peer][concurrency]
            rows[f"worker, processor a no-op job at concurrency {concurrency} ÷ {peer}"] = used
            if concurrency in redis_ms[peer]:
                used = redis_ms["previewops"][concurrency] / redis_ms[peer][concurrency]
                rows[f"Redis, processor a no-op job at concurrency {concurrency} ÷ {peer}"] = used
        for name, ours, theirs in zip(("p50", "p99"), delays["previewops"], delays[peer], strict=True):
            rows[f"submit to start, {name} ÷ {peer}"] = ours / theirs
    return rows


def measure_costs() -> Rows:
    """Bytes in Redis, submit_many, REST, start of commands."""
    rows: Rows = {}
    sizes = costs.redis_bytes(5_000)
    for state, size in sizes["previewops"].items():
        rows[f"bytes in Redis, {state} job"] = size
        if "BullMQ" in sizes:
            rows[f"bytes in Redis, {state} job ÷ BullMQ"] = size / sizes["BullMQ"][state]
    rows["submit_many of 10,000 ÷ its script"] = costs.submit_many(10_000, 5)
    rest = costs.rest(2_000, 5)
    rows["REST submits/s ÷ Starlette"] = rest["previewops"]["perSecond"] / rest["Starlette"]["perSecond"]
    rows["REST, processor ms a submit"] = rest["previewops"]["cpuMs"]
    rows["REST, processor time a submit ÷ Starlette"] = (
        rest["previewops"]["cpuMs"] / rest["Starlette"]["cpuMs"]
    )
    starts = costs.command_starts(7)
    for name in costs.COMMANDS:
        rows[f"start of {name}, processor s"] = starts[name]
        rows[f"start of {name} ÷ import redis"] = starts[name] / starts["import redis"]
    return rows


def measure_pipeline() -> Rows:
    """Cost of the queue over a bare render loop."""
    measured = pipeline.measure(100, 5, 2)
    return {
        "submit to bundle ÷ bare loop, wall": 1 + pipeline.overhead(measured),
        "worker, processor ms a job": statistics.median(measured["worker"]),
        "Redis, processor ms a job": statistics.median(measured["redis"]),
    }


def measure_render() -> Rows:
    """Previews, storyboards, memory, reuse."""
    rows: Rows = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        pictures = render.make_pictures(folder)
        for kind, by in render.previews(folder, 2).items():
            if "libvips" in by:
                rows[f"24 MP to 3 previews, {kind} ÷ libvips, processor"] = (
                    by["ours"]["leastCpuMs"] / by["libvips"]["leastCpuMs"]
                )
        for kind, figures in render.storyboards(pictures, 5, defaults=False).items():
            rows[f"6 steps, {kind}, processor ms"] = figures["cpuMs"]
            rows[f"6 steps, {kind} ÷ libraries alone, processor"] = (
                figures["cpuMs"] / figures["librariesCpuMs"]
            )
        rows["peak of 60 steps 1920x1080 webm, MiB"] = render.memory(pictures, ("webm",))["webm"]
        rows["same job again, ms"] = asyncio.run(render.again(pictures, 10))["againMs"]
    return rows


def measure_snapshot() -> Rows:
    """One consistent reading of a deep queue."""
    with queue.private_redis() as socket:
        url = f"unix://{socket}"
        screen.fill(url, 1_000_000, 100_000)
        median_ms, _ = asyncio.run(screen.snapshot_ms(url))
    return {"snapshot at 1,000,000 waiting and 100,000 dead, ms": median_ms}


SECTIONS: dict[str, Callable[[], Rows]] = {
    "queue": measure_queue,
    "costs": measure_costs,
    "pipeline": measure_pipeline,
    "render": measure_render,
    "snapshot": measure_snapshot,
}


def commit() -> str:
    """The commit of the checkout, "" outside of one."""
    done = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False
    )
    return done.stdout.strip()


def main() -> None:
    """Measures, prints and writes."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", type=Path, default=RESULTS, help=f"file to write [{RESULTS}]")
    parser.add_argument("--only", nargs="+", choices=SECTIONS, default=list(SECTIONS))
    options = parser.parse_args()
    results: dict[str, object] = {
        "date": f"{datetime.now(tz=UTC):%Y-%m-%d}",
        "commit": commit(),
        "build": build_id(),
        "machine": f"{os.cpu_count()} processors, {platform.machine()}, Python {platform.python_version()}",
        "loadBefore": round(os.getloadavg()[0], 1),
    }
    rows: Rows = {}
    for name in options.only:
        began = time.monotonic()
        for row, value in SECTIONS[name]().items():
            rows[row] = float(f"{value:.4g}")
            print(f"{row:<60}{value:>12,.3f}", flush=True)
        print(f"  ({name}: {time.monotonic() - began:.0f} s, load {os.getloadavg()[0]:.1f})", flush=True)
    results |= {"loadAfter": round(os.getloadavg()[0], 1), "rows": rows}
    options.json.write_text(json.dumps(results, indent=2, ensure_ascii=False) + "\n", "utf-8")


if __name__ == "__main__":
    main()
