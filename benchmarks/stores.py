"""What an object store costs: mixed jobs through one worker into DATA_DIR, and into a bucket, by turns.

    python -m benchmarks.stores 's3://bucket/prefix?endpoint=http://127.0.0.1:9000&region=us-east-1'

The provider's environment variables hold the credentials. Ratios of one run are comparable, figures of two are not.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import platform
import statistics
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.pipeline import MIX, make_pictures, mixed, private_redis, queue, worker
from previewops.settings import Settings


@contextmanager
def environment(store: str) -> Iterator[None]:
    """Sets PREVIEW_STORE for the workers that start meanwhile; "" is DATA_DIR."""
    os.environ["PREVIEW_STORE"] = store
    try:
        yield
    finally:
        del os.environ["PREVIEW_STORE"]


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("store", help="value of PREVIEW_STORE")
    parser.add_argument("--jobs", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--slots", type=int, default=2)
    options = parser.parse_args()
    spent: dict[str, list[float]] = {"": [], options.store: []}
    with tempfile.TemporaryDirectory() as name, private_redis() as socket:
        folder = Path(name)
        pictures = make_pictures(folder)
        settings = replace(
            Settings(),
            redis_url=f"unix://{socket}",
            data_dir=folder / "data",
            asset_roots=(pictures,),
            worker_concurrency=options.slots,
            queue_max=options.jobs,
        )
        settings.data_dir.mkdir()
        for number in range(options.rounds):
            for store, seconds in spent.items():
                with environment(store), worker(settings.redis_url or "", settings, folder / "worker.log"):
                    label = f"{number}-{'bucket' if store else 'folder'}"
                    warm = mixed(2 * len(MIX), pictures, f"warm-{label}")
                    asyncio.run(queue(settings.redis_url or "", settings, warm))
                    jobs = mixed(options.jobs, pictures, label)
                    seconds.append(asyncio.run(queue(settings.redis_url or "", settings, jobs)))
    when, load = f"{datetime.now(tz=UTC):%Y-%m-%d}", os.getloadavg()[0]
    print(f"{when}, {os.cpu_count()} processors, Python {platform.python_version()}, load {load:.1f} after")
    print(f"{options.jobs} mixed jobs, {options.slots} slots, s a round")
    for store, seconds in spent.items():
        print(f"  {'bucket' if store else 'folder'}  ", *(f"{value:7.2f}" for value in seconds))
    folder_s, bucket_s = spent.values()
    ratio = statistics.median(one / other for one, other in zip(folder_s, bucket_s, strict=True))
    print(f"  throughput of the bucket {ratio:.2f} of the folder's (wanted at least 0.95)")


if __name__ == "__main__":
    main()
