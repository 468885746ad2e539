"""Runs the benchmarks that have figures to keep, and writes them to one JSON file, a number a row.

    python -m benchmarks.suite [--json FILE] [--only SECTION …]
    python -m benchmarks.compare FILE                    its rows over those of baseline.json

Under 15 minutes on two cores: each section has a time, and a busy machine gets fewer rounds. Rows are ratios within
this run where there is a peer, else processor time or bytes, since all of these depend less on other load than wall
time does. Each section may also be run alone, with tables.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks import costs, pipeline, queue, render, screen
from benchmarks.peer_programs import available_peers
from benchmarks.wanted import WANTED
from previewops.build import build_id

RESULTS = Path("bench.json")
Rows = dict[str, float]


def measure_queue() -> Rows:
    """No-op jobs per second and submit to start, over the same of each peer."""
    rows: Rows = {}
    peers = available_peers()
    with queue.private_redis() as socket:
        measured = queue.throughput(peers, socket, most_rounds=5, jobs=10_000, seconds=60)
        delays = queue.latency(peers, socket)
    parts = (
        ("jobs/s", measured.per_second),
        ("worker, processor a no-op job", measured.cpu_ms),
        ("Redis, processor a no-op job", measured.redis_ms),
    )
    for peer in peers:
        if peer == "previewops":
            continue
        for part, figures in parts:
            for concurrency, theirs in figures[peer].items():
                ours = figures["previewops"][concurrency]
                rows[f"{part} at concurrency {concurrency} ÷ {peer}"] = ours / theirs
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
    many = costs.submit_many(10_000, 5, seconds=20)
    rows["submit_many of 10,000 ÷ its script"] = many["ratio"]
    rows["submit_many, processor µs a job of the client"] = many["clientCpuUs"]
    rest = costs.rest(2_000, 5, seconds=30)
    rows["REST submits/s ÷ Starlette"] = rest["previewops"]["perSecond"] / rest["Starlette"]["perSecond"]
    rows["REST, processor ms a submit"] = rest["previewops"]["cpuMs"]
    rows["REST, processor time a submit ÷ Starlette"] = (
        rest["previewops"]["cpuMs"] / rest["Starlette"]["cpuMs"]
    )
    starts = costs.command_starts(7, seconds=30)
    for name in costs.COMMANDS:
        rows[f"start of {name}, processor s"] = starts[name]
        rows[f"start of {name} ÷ import redis"] = starts[name] / starts["import redis"]
    return rows


def measure_pipeline() -> Rows:
    """Cost of the queue over a bare render loop."""
    measured = pipeline.measure(100, 5, 2, seconds=100)
    worker_ms, redis_ms = (statistics.median(measured[part]) for part in ("worker", "redis"))
    return {
        "submit to bundle ÷ bare loop, wall": 1 + pipeline.overhead(measured),
        "worker, processor ms a job": worker_ms,
        "Redis, processor ms a job": redis_ms,
        "outside rendering, processor ms a job": worker_ms + redis_ms,
    }


def measure_render() -> Rows:
    """Previews, storyboards, memory, reuse."""
    rows: Rows = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        pictures = render.make_pictures(folder)
        for kind, by in render.previews(folder, 2, seconds=40).items():
            if "libvips" in by:
                rows[f"24 MP to 3 previews, {kind} ÷ libvips, processor"] = (
                    by["ours"]["leastCpuMs"] / by["libvips"]["leastCpuMs"]
                )
        for kind, figures in render.storyboards(pictures, 5, seconds=90).items():
            rows[f"6 steps, {kind}, processor ms"] = figures["cpuMs"]
            rows[f"6 steps, {kind}, libraries alone, processor ms"] = figures["librariesCpuMs"]
            rows[f"6 steps, {kind} ÷ libraries alone, processor"] = figures["ratio"]
        rows["peak of 60 steps 1920x1080 webm, MiB"] = render.memory(pictures, ("webm",))["webm"]
        rows["peak of the encoder alone, 60 frames 1920x1080 webm, MiB"] = render.encoder_memory()
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


def print_row(row: str, value: float) -> None:
    """Prints a figure, and whether it is what is wanted."""
    bound = WANTED.get(row)
    verdict = "" if bound is None else f"   {bound}{'' if bound.holds(value) else ', not reached'}"
    print(f"{row:<60}{value:>12,.3f}{verdict}", flush=True)


def run_sections(names: list[str], measured: dict[str, Any], target: Path) -> bool:
    """Runs sections and writes ``target`` after each; returns whether all succeeded."""
    for name in names:
        began = time.monotonic()
        try:
            rows = SECTIONS[name]()
        except (Exception, SystemExit) as error:
            measured["failed"][name] = f"{type(error).__name__}: {error}"
            print(f"  ({name}: failed: {error})", file=sys.stderr, flush=True)
            rows = {}
        for row, value in rows.items():
            measured["rows"][row] = float(f"{value:.4g}")
            print_row(row, value)
        load = round(os.getloadavg()[0], 1)
        measured["sections"][name] = {"seconds": round(time.monotonic() - began), "loadAfter": load}
        measured["loadAfter"] = load
        print(f"  ({name}: {time.monotonic() - began:.0f} s, load {load})", flush=True)
        target.write_text(json.dumps(measured, indent=2, ensure_ascii=False) + "\n", "utf-8")
    return not measured["failed"]


def main() -> None:
    """Measures, prints and writes; exits with 1 if a section failed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", type=Path, default=RESULTS, help=f"file to write [{RESULTS}]")
    parser.add_argument("--only", nargs="+", choices=SECTIONS, default=list(SECTIONS))
    options = parser.parse_args()
    versions = {name: peer.version for name, peer in available_peers().items() if peer.version}
    load = round(os.getloadavg()[0], 1)
    measured: dict[str, Any] = {
        "date": f"{datetime.now(tz=UTC):%Y-%m-%d}",
        "commit": commit(),
        "build": build_id(),
        "machine": f"{os.cpu_count()} processors, {platform.machine()}, Python {platform.python_version()}",
        "peers": versions,
        "loadBefore": load,
        "loadAfter": load,
        "sections": {},
        "failed": {},
        "rows": {},
    }
    if not run_sections(options.only, measured, options.json):
        sys.exit(1)


if __name__ == "__main__":
    main()
