"""Cost of the queue over rendering: 200 mixed jobs from submit to published bundle, and in a bare loop.

The loop is ``previewops.worker.render`` in as many processes as the worker renders with; each takes the next job when
it is free. Both take turns, both are warm, nothing is reused, and each writes every file. Read the ratio.

    python -m benchmarks.pipeline [--jobs N] [--rounds N] [--processes N]
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import os
import platform
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil
import redis

from benchmarks.peers.storyboard_peer import request
from benchmarks.queue import private_redis
from benchmarks.render import make_pictures
from benchmarks.rounds import rounds
from previewops.contract import validate
from previewops.queue.keys import Keys
from previewops.queue.queue import Queue, Receipt
from previewops.redis_server.connection import connect
from previewops.settings import Settings
from previewops.worker import render
from previewops.worker.assets.opener import FileAssetOpener

MIX = [
    ("webp", 6, "1280x720"),
    ("png", 1, "640x360"),
    ("gif", 3, "640x360"),
    ("jpeg", 4, "1280x720"),
    ("mp4", 2, "1280x720"),
    ("webp", 1, "320x180"),
    ("webp", 2, "720x1280"),
    ("jpeg", 0, "1280x720"),
]
"""Format, steps and resolution of each job in turn: from a title card to a full storyboard."""
LOOK_EVERY_S = 0.1


def mixed(count: int, pictures: Path, round_: str) -> list[dict[str, Any]]:
    """Payloads, all different."""
    jobs = []
    for number in range(count):
        kind, steps, resolution = MIX[number % len(MIX)]
        job = request(kind, steps, resolution, pictures)
        job["title"] = f"Job {number} of {round_}"
        jobs.append(
            {
                "jobId": f"{round_}-{number:04}",
                "projectId": "bench",
                "requestId": f"{round_}-{number:04}",
                "dryRun": False,
                "previewRequest": job,
            }
        )
    return jobs


def render_one(work: tuple[dict[str, Any], str, str]) -> None:
    """Renders one job of the bare loop."""
    job, pictures, out = work
    render(job, out=Path(out) / job["jobId"], opener=FileAssetOpener((Path(pictures),)))


def loop(pool: Any, jobs: list[dict[str, Any]], pictures: Path, out: Path) -> float:
    """Returns the duration of the bare loop, in s."""
    began = time.perf_counter()
    for _ in pool.imap_unordered(render_one, [(job, str(pictures), str(out)) for job in jobs]):
        pass
    return time.perf_counter() - began


async def queue(url: str, settings: Settings, jobs: list[dict[str, Any]]) -> float:
    """Returns the time from the first submit until every bundle is published, in s."""
    client, keys = connect(url, role="bench"), Keys(settings.queue_name)
    before = int(await client.hget(keys.meta, "completed") or 0)
    began = time.perf_counter()
    for reply in await Queue(client, settings).submit_many([validate(job) for job in jobs]):
        if not isinstance(reply, Receipt):
            sys.exit(f"a submit was rejected: {reply}")
    # Not a snapshot, which would cost Redis more than the jobs.
    while int(await client.hget(keys.meta, "completed") or 0) - before < len(jobs):
        if await client.zcard(keys.dead):
            sys.exit("a job is dead: the figures would be worthless")
        await asyncio.sleep(LOOK_EVERY_S)
    spent = time.perf_counter() - began
    await client.aclose()
    return spent


@contextmanager
def worker(url: str, settings: Settings, log: Path) -> Iterator[int]:
    """Runs one worker process; yields its process id."""
    environ = {
        **os.environ,
        "REDIS_URL": url,
        "DATA_DIR": str(settings.data_dir),
        "PREVIEW_ASSET_ROOTS": os.pathsep.join(map(str, settings.asset_roots or ())),
        "PREVIEW_WORKER_CONCURRENCY": str(settings.worker_concurrency),
        "PREVIEW_CACHE_MAX_MB": "0",
        "PREVIEW_LOG_LEVEL": "warning",
    }
    with log.open("ab") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "previewops", "worker"], env=environ, stdout=out, stderr=out
        )
    try:
        yield process.pid
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()


def processor_s(process: psutil.Process) -> float:
    """Processor time that a process has used, in s."""
    return float(sum(process.cpu_times()[:2]))


def measure(count: int, most_rounds: int, processes: int, seconds: float = 600) -> dict[str, list[float]]:
    """Measures both by turns: s a round, and processor time of worker and Redis in ms a job."""
    measured: dict[str, list[float]] = {"bare": [], "queue": [], "worker": [], "redis": []}
    with tempfile.TemporaryDirectory() as name, private_redis() as socket:
        folder = Path(name)
        pictures = make_pictures(folder)
        url = f"unix://{socket}"
        settings = replace(
            Settings(),
            redis_url=url,
            data_dir=folder / "data",
            asset_roots=(pictures,),
            worker_concurrency=processes,
            queue_max=count,
        )
        settings.data_dir.mkdir()
        (folder / "loop").mkdir()
        with redis.Redis(unix_socket_path=socket) as client:
            server = psutil.Process(client.info("server")["process_id"])
        renders = multiprocessing.get_context("spawn").Pool(processes)
        with renders as pool, worker(url, settings, folder / "worker.log") as pid:
            ours = psutil.Process(pid)
            warm = 2 * len(MIX)
            loop(pool, mixed(warm, pictures, "warm-loop"), pictures, folder / "loop")
            asyncio.run(queue(url, settings, mixed(warm, pictures, "warm-queue")))
            for number in rounds(most_rounds, seconds):
                measured["bare"].append(
                    loop(pool, mixed(count, pictures, f"l{number}"), pictures, folder / "loop")
                )
                before = processor_s(ours), processor_s(server)
                jobs = mixed(count, pictures, f"q{number}")
                measured["queue"].append(asyncio.run(queue(url, settings, jobs)))
                after = processor_s(ours), processor_s(server)
                for part, start, end in zip(("worker", "redis"), before, after, strict=True):
                    measured[part].append((end - start) * 1000 / count)
    return measured


def overhead(measured: dict[str, list[float]]) -> float:
    """Median over the rounds of the time through the queue over that of the bare loop, less 1."""
    pairs = zip(measured["queue"], measured["bare"], strict=True)
    return statistics.median(one / other for one, other in pairs) - 1


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--jobs", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--processes", type=int, default=2)
    options = parser.parse_args()
    load_before = os.getloadavg()[0]
    measured = measure(options.jobs, options.rounds, options.processes)
    when = f"{datetime.now(tz=UTC):%Y-%m-%d}"
    load = f"load {load_before:.1f} before, {os.getloadavg()[0]:.1f} after"
    print(f"{when}, {os.cpu_count()} processors, Python {platform.python_version()}, {load}")
    print(f"{options.jobs} mixed jobs, {options.processes} processes, s a round")
    print("  bare loop         ", *(f"{seconds:7.2f}" for seconds in measured["bare"]))
    print("  submit to bundle  ", *(f"{seconds:7.2f}" for seconds in measured["queue"]))
    print(f"  through the queue {overhead(measured):+.1%} (wanted at most +3%)")
    for name in ("worker", "redis"):
        print(f"  processor time of {name:<6} {statistics.median(measured[name]):.1f} ms a job")


if __name__ == "__main__":
    main()
