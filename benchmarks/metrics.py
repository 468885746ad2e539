"""Cost of a scrape, from an empty queue to a million waiting jobs.

    python -m benchmarks.metrics [--waiting N] [--dead N] [--samples N]

On a private Redis without persistence, over one connection: three round trips, then the text. The text alone is
measured too; no server is involved in that part.
"""

from __future__ import annotations

import argparse
import asyncio
import math
import os
import platform
import statistics
import time
from datetime import UTC, datetime

import redis

from benchmarks.queue import private_redis
from benchmarks.screen import fill
from previewops.metrics import collect, render_exposition, scrape
from previewops.queue.keys import Keys
from previewops.redis_server.connection import connect
from previewops.settings import Settings

BINS = 100
"""Bins in use per histogram: everything from a millisecond to nine hours."""


def live_long(url: str) -> None:
    """Writes the totals of a queue that has seen every event."""
    fields = {f"{series}:{priority}:{n}": 1_000 for series in "wr" for priority in ("high", "normal", "low")
              for n in range(BINS)}  # fmt: skip
    with redis.Redis.from_url(url) as client:
        client.hset(Keys(Settings().queue_name).totals, mapping=fields)


async def measure(url: str, samples: int) -> tuple[list[float], list[float], int]:
    """Returns scrape durations in ms, durations of the text alone in ms, and the size in bytes."""
    settings = Settings()
    client = connect(url, role="bench")
    scrapes, text = [], []
    size = len(await scrape(client, settings))
    for _ in range(samples):
        began = time.perf_counter()
        await scrape(client, settings)
        scrapes.append((time.perf_counter() - began) * 1000)
        reading = await collect(client, settings)
        began = time.perf_counter()
        render_exposition(reading, settings)
        text.append((time.perf_counter() - began) * 1000)
    await client.aclose()
    return scrapes, text, size


def row(name: str, url: str, samples: int) -> None:
    """One line of the table."""
    scrapes, text, size = asyncio.run(measure(url, samples))
    late = sorted(scrapes)[math.ceil(0.99 * len(scrapes)) - 1]
    print(
        f"{name:<40}{statistics.median(scrapes):>9.2f} ms{late:>9.2f} ms{statistics.median(text):>9.2f} ms"
        f"{size:>9,} B"
    )


def main() -> None:
    """Measures and prints the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--waiting", type=int, default=1_000_000)
    parser.add_argument("--dead", type=int, default=100_000)
    parser.add_argument("--samples", type=int, default=200)
    options = parser.parse_args()
    before = os.getloadavg()[0]
    with private_redis() as socket:
        url = f"unix://{socket}"
        print(f"{'':<40}{'p50':>12}{'p99':>12}{'text':>12}{'size':>11}")
        row("empty", url, options.samples)
        live_long(url)
        row("empty, after a long life", url, options.samples)
        fill(url, options.waiting, options.dead)
        row(f"{options.waiting:,} waiting, {options.dead:,} dead", url, options.samples)
    print(
        f"{datetime.now(tz=UTC):%Y-%m-%d}, {os.cpu_count()} processors, Python {platform.python_version()}, "
        f"load {before:.1f} before and {os.getloadavg()[0]:.1f} after"
    )


if __name__ == "__main__":
    main()
